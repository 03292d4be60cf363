"""The match tester's verdicts and the near misses of a 404."""

import pytest

from proxy.config.snapshot import PathMatch, Route, ValueMatch
from proxy.routing.explain import explain, near_misses
from proxy.routing.table import RouteTable


def route(name: str, kind: str = "prefix", value: str = "/", **fields: object) -> Route:
    return Route(name, "api", PathMatch(kind, value), **fields)  # type: ignore[arg-type]


def test_all_candidates_in_order_with_their_verdicts() -> None:
    table = RouteTable(
        [
            route("root"),
            route("posts", "exact", "/a", methods=("POST",)),
            route("flagged", "exact", "/a", headers=(ValueMatch("x-flag", "secret-value"),)),
            route("winner", "prefix", "/a", order=1),
            route("younger", "prefix", "/a", order=2),
            route("elsewhere", "prefix", "/b"),
        ]
    )
    verdicts = explain(table, b"h", b"/a", b"GET", [(b"x-flag", b"sent")])
    assert [(verdict.route, verdict.selected) for verdict in verdicts] == [
        ("posts", False),
        ("flagged", False),
        ("winner", True),
        ("younger", False),
        ("root", False),
    ]
    reasons = {verdict.route: verdict.reason for verdict in verdicts}
    assert reasons["posts"] == "method is GET, the Route has POST"
    assert reasons["flagged"] == "header x-flag does not match", "no value is repeated"
    assert "older" in reasons["younger"]
    assert "path is more specific" in reasons["root"]
    found = table.match(b"h", b"/a", b"GET", [(b"x-flag", b"sent")], b"")
    assert found is not None
    assert found.config.name == "winner"


@pytest.mark.parametrize(
    ("near", "path", "reason"),
    [
        (route("r", "exact", "/a"), b"/a/", "slash at its end"),
        (route("r", "exact", "/a/"), b"/a", "lacks the slash"),
        (route("r", "prefix", "/Api"), b"/api/x", "letter case"),
        (route("r", "prefix", "/a"), b"/abc", "whole segments"),
        (route("r", "template", "/o/{id}"), b"/o/1/2", "goes on in another way"),
        (
            route("r", "prefix", "/a", hosts=("a.example",)),
            b"/a",
            "host is h.example, the Route has a.example",
        ),
        (route("r", "prefix", "/a", methods=("POST",)), b"/a", "method is GET"),
        (route("r", "prefix", "/a", query=(ValueMatch("q"),)), b"/a", "query parameter q is missing"),
    ],
)
def test_near_misses_say_what_is_missing(near: Route, path: bytes, reason: str) -> None:
    table = RouteTable([near, route("far", "exact", "/somewhere/else")])
    assert table.match(b"h.example", path, b"GET", [], b"") is None
    (text,) = near_misses(table, b"h.example", path, b"GET")
    assert text.startswith("r: ")
    assert reason in text


def test_at_most_five_nearest_first() -> None:
    routes = [route(f"host{number}", "prefix", "/a", hosts=(f"h{number}.example",)) for number in range(9)]
    found = near_misses(
        RouteTable([*routes, route("method", "prefix", "/a", methods=("PUT",))]), b"x.example", b"/a", b"GET"
    )
    assert len(found) == 5
    assert found[0].startswith("method: ")
