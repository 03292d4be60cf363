"""Which Routes are reported as unreachable or ambiguous, and that ten thousand are checked quickly."""

import pytest

from proxy.config.snapshot import PathMatch, Route, ValueMatch
from proxy.routing.overlap import find_overlaps
from proxy.routing.table import RouteTable


def route(name: str, kind: str = "prefix", value: str = "/a", **fields: object) -> Route:
    return Route(name, "api", PathMatch(kind, value), **fields)  # type: ignore[arg-type]


X1, X2 = ValueMatch("X", "1"), ValueMatch("x", "2")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (route("a"), route("b")),
        (route("a", order=1), route("b", value="/a/", order=2)),
        (route("a", "template", "/{x}"), route("b", "template", "/{y}")),
        (route("a", methods=("GET",), order=1), route("b", methods=("HEAD",), order=2)),
        (route("a", methods=("GET", "PUT"), order=1), route("b", methods=("PUT",), order=2)),
        (route("a", hosts=("a.example", "b.example"), order=1), route("b", hosts=("b.example",), order=2)),
        (route("a", headers=(X1,), order=1), route("b", headers=(ValueMatch("x", "1"),), order=2)),
        (route("a", headers=(ValueMatch("x", "", "present"),), order=1), route("b", headers=(X1,), order=2)),
        (route("a", "regex", "/.*", order=9), route("b", order=1)),
    ],
)
def test_unreachable(first: Route, second: Route) -> None:
    (found,) = find_overlaps([second, first])
    assert (found.winner, found.loser, found.unreachable) == ("a", "b", True)
    assert "a" in found.reason


def test_a_route_with_several_hosts_can_be_covered_by_several() -> None:
    routes = [route("a", hosts=("a.example",), order=1), route("b", hosts=("b.example",), order=2)]
    both = route("c", hosts=("a.example", "b.example"), order=3)
    (found,) = find_overlaps([*routes, both])
    assert (found.winner, found.loser, found.unreachable) == ("a", "c", True)
    assert "with b" in found.reason
    assert all(not overlap.unreachable for overlap in find_overlaps([routes[0], both]))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (route("a", methods=("GET", "PUT"), order=1), route("b", methods=("PUT", "POST"), order=2)),
        (route("a", headers=(X1,), order=1), route("b", headers=(ValueMatch("y", "1"),), order=2)),
    ],
)
def test_ambiguous(first: Route, second: Route) -> None:
    (found,) = find_overlaps([second, first])
    assert (found.winner, found.loser, found.unreachable) == ("a", "b", False)
    assert "older" in found.reason


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (route("a"), route("b", value="/b")),
        (route("a"), route("b", value="/a/b")),
        (route("a"), route("b", "exact", "/a")),
        (route("a"), route("b", hosts=("a.example",))),
        (route("a", methods=("GET",)), route("b")),
        (route("a", methods=("GET",)), route("b", methods=("POST",))),
        (route("a", headers=(X1,)), route("b", headers=(X2,))),
        (route("a", headers=(X1,)), route("b")),
    ],
)
def test_apart(first: Route, second: Route) -> None:
    assert find_overlaps([first, second]) == []


def test_what_is_called_unreachable_gets_no_request() -> None:
    routes = [
        route("a", methods=("GET",), order=1),
        route("b", methods=("GET",), headers=(X1,), order=2),
        route("c", methods=("HEAD",), order=3),
    ]
    lost = {overlap.loser for overlap in find_overlaps(routes) if overlap.unreachable}
    table = RouteTable(routes)
    won = {
        found.config.name
        for method in (b"GET", b"HEAD")
        for headers in ([], [(b"x", b"1")])
        if (found := table.match(b"h", b"/a", method, headers, b"")) is not None
    }
    assert (lost, won) == ({"c"}, {"a", "b"})


def test_routes_that_cannot_be_compiled_are_left_to_the_validation() -> None:
    assert find_overlaps([route("bad", "regex", "("), route("a")]) == []


@pytest.mark.parametrize("same_path", [False, True])
def test_ten_thousand_routes_with_bounded_output(same_path: bool) -> None:
    routes = [
        route(
            f"r{number}",
            value="/a" if same_path else f"/a/{number // 2}",
            order=number,
            headers=(ValueMatch(f"h{number}", "1"),),
        )
        for number in range(10_000)
    ]
    found = find_overlaps(routes)  # quadratic work would not end within the suite's timeout
    assert len(found) == 1000


def test_a_retired_route_is_in_nobodys_way() -> None:
    assert find_overlaps([route("old", retired=True), route("new", order=1)]) == []
