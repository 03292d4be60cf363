"""Precedence, case by case; and the whole table against a matcher so plain that it is obviously right."""

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.snapshot import PathMatch, Route, ValueMatch
from proxy.routing.compiled import CompiledRoute
from proxy.routing.table import RouteTable, RouteTableBuilder

Headers = list[tuple[bytes, bytes]]


def route(name: str, kind: str = "prefix", value: str = "/", **fields: object) -> Route:
    return Route(name, "api", PathMatch(kind, value), **fields)  # type: ignore[arg-type]


def match(
    routes: list[Route],
    path: str,
    host: str = "h.example",
    method: str = "GET",
    headers: Headers | None = None,
    query: str = "",
) -> str | None:
    found = RouteTable(routes).match(
        host.encode(), path.encode(), method.encode(), headers or [], query.encode()
    )
    return found.config.name if found else None


def test_a_retired_route_takes_only_what_no_other_takes() -> None:
    old = route("old", "exact", "/a/b", hosts=("h.example",), methods=("GET", "PUT"), retired=True)
    rows = [old, route("new", "prefix", "/a", methods=("GET",), order=1)]
    assert match(rows, "/a/b") == "new"
    assert match(rows, "/a/b", method="PUT") == "old"
    assert match(rows, "/a/b", method="DELETE") is None
    assert match([old], "/a/b") == "old" and match([old], "/a/b/c") is None
    table = RouteTable(rows)
    assert [found.config.name for found in table.candidates(b"h.example", b"/a/b")] == ["new", "old"]
    assert table.allowed_methods(b"h.example", b"/a/b") == {b"GET", b"HEAD"}
    assert [found.index for found in table.routes] == [0, 1]


PATHS = [
    route("exact", "exact", "/a/b"),
    route("template", "template", "/a/{x}"),
    route("regex", "regex", "/a/[a-z]+"),
    route("long", "prefix", "/a/b"),
    route("short", "prefix", "/a"),
    route("root", "prefix", "/"),
]


@pytest.mark.parametrize("dropped", range(len(PATHS) + 1))
def test_kinds_of_path_in_order(dropped: int) -> None:
    expected = PATHS[dropped].name if dropped < len(PATHS) else None
    assert match(PATHS[dropped:], "/a/b") == expected
    assert match(PATHS[dropped:][::-1], "/a/b") == expected


@pytest.mark.parametrize(
    ("prefix", "path", "taken"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", True),
        ("/a", "/a/b", True),
        ("/a", "/ab", False),
        ("/a", "/a;x", False),
        ("/a", "/A", False),
        ("/a", "/", False),
        ("/a/", "/a", True),
        ("/a/b", "/a/bc/d", False),
        ("/a/b", "/a", False),
        ("/", "/anything/at/all", True),
        ("/", "/", True),
        ("/café", "/caf%C3%A9/x", True),
        ("/%7euser", "/~user", True),
    ],
)
def test_prefixes_match_whole_segments(prefix: str, path: str, taken: bool) -> None:
    assert (match([route("r", "prefix", prefix)], path) == "r") is taken


@pytest.mark.parametrize(
    ("value", "path", "taken"),
    [("/a", "/a", True), ("/a", "/a/", False), ("/a/", "/a/", True), ("/a/", "/a", False)],
)
def test_exact_paths_take_the_slash_at_the_end_seriously(value: str, path: str, taken: bool) -> None:
    assert (match([route("r", "exact", value)], path) == "r") is taken


@pytest.mark.parametrize(
    ("value", "path", "params"),
    [
        ("/o/{id}", "/o/7", {"id": "7"}),
        ("/o/{id}", "/o/", None),
        ("/o/{id}", "/o", None),
        ("/o/{id}", "/o/7/", None),
        ("/o/{id}", "/o/7/x", None),
        ("/o/{id}/", "/o/7/", {"id": "7"}),
        ("/{a}/{b}", "/x/y", {"a": "x", "b": "y"}),
        ("/f/{name}.json", "/f/x.json", {"name": "x"}),
        ("/f/{name}.json", "/f/.json", None),
        ("/f/{name}.json", "/f/..json", None),
        ("/t/{id}:cancel", "/t/5:cancel", {"id": "5"}),
        ("/o/{id}", "/o/caf%C3%A9", {"id": "caf%C3%A9"}),
    ],
)
def test_templates(value: str, path: str, params: dict[str, str] | None) -> None:
    table = RouteTable([route("r", "template", value)])
    found = table.match(b"h", path.encode(), b"GET", [], b"")
    assert (found.extract(path.encode()) if found else None) == params
    assert table.routes[0].has_params


@pytest.mark.parametrize(
    ("values", "path", "winner"),
    [
        (["/a/{x}/c", "/{x}/{y}/c"], "/a/b/c", "/a/{x}/c"),
        (["/{x}/b/c", "/a/{y}/{z}"], "/a/b/c", "/{x}/b/c"),
        (["/{x}/b", "/a/{y}"], "/a/b", "/a/{y}"),
        (["/{x}", "/{x}.json"], "/f.json", "/{x}.json"),
        (["/{x}", "/{y}.json"], "/f.xml", "/{x}"),
        (["/a/{x}/c/{y}", "/a/b/{z}/d"], "/a/b/c/d", "/a/b/{z}/d"),
    ],
)
def test_more_specific_templates_first(values: list[str], path: str, winner: str) -> None:
    routes = [route(value, "template", value) for value in values]
    assert match(routes, path) == match(routes[::-1], path) == winner


def test_an_overlapping_exact_path_wins_over_the_template_whatever_the_age() -> None:
    routes = [route("template", "template", "/a/{x}", order=1), route("exact", "exact", "/a/admin", order=2)]
    assert match(routes, "/a/admin") == "exact"


def test_regexes_match_the_whole_path_and_not_a_newline_more() -> None:
    routes = [route("r", "regex", r"/v[0-9]+/(?P<rest>.*)")]
    assert match(routes, "/v1/x") == "r"
    assert match(routes, "/x/v1/x") is None
    assert match([route("r", "regex", "/admin$")], "/admin\n") is None
    assert match(routes, "/v1/" + "x" * 3000) is None, "longer paths than the cap match no regular expression"
    assert RouteTable(routes).routes[0].extract(b"/v1/a/b") == {"rest": "a/b"}


HOSTS = [
    route("exact", hosts=("a.b.example.com",)),
    route("longer", hosts=("*.b.example.com",)),
    route("shorter", hosts=("*.example.com",)),
    route("any"),
]


@pytest.mark.parametrize("dropped", range(len(HOSTS)))
def test_more_specific_hosts_first(dropped: int) -> None:
    assert match(HOSTS[dropped:][::-1], "/", "a.b.example.com") == HOSTS[dropped].name


@pytest.mark.parametrize(
    ("host", "winner"),
    [
        ("example.com", "any"),
        ("x.example.com", "shorter"),
        ("b.example.com", "shorter"),
        ("y.a.b.example.com", "longer"),
        ("xexample.com", "any"),
        ("evil.com", "any"),
        (".example.com", "any"),
        ("", "any"),
    ],
)
def test_wildcards_take_one_label_or_more(host: str, winner: str) -> None:
    assert match(HOSTS, "/", host) == winner


def test_a_more_specific_host_without_a_matching_path_falls_back() -> None:
    routes = [
        route("own", "exact", "/x", hosts=("a.example.com",)),
        route("wild", "exact", "/y", hosts=("*.example.com",)),
        route("any"),
    ]
    assert [match(routes, path, "a.example.com") for path in ("/x", "/y", "/z")] == ["own", "wild", "any"]
    assert match(routes[:2], "/z", "a.example.com") is None


@pytest.mark.parametrize("kind", ["exact", "template", "regex"])
def test_prefixes_of_a_host_give_way_to_another_kind_added_later(kind: str) -> None:
    value = {"exact": "/a/b", "template": "/a/{x}", "regex": "/a/.+"}[kind]
    routes = [
        route("root", hosts=("a.test",)),
        route("prefix", value="/a", hosts=("a.test",)),
        route("other", kind, value, hosts=("a.test",)),
    ]
    for order in (routes, routes[::-1]):
        assert match(order, "/a/b", host="a.test") == "other"
        assert match(order, "/a", host="a.test") == "prefix"
        assert match(order, "/c", host="a.test") == "root"


def test_a_conditional_prefix_does_not_hand_over_to_a_shorter_one_unasked() -> None:
    routes = [
        route("root", hosts=("a.test",)),
        route("reads", value="/a", hosts=("a.test",), methods=("GET",)),
        route("any", value="/a", hosts=("a.test",)),
    ]
    assert match(routes, "/a/b", host="a.test") == "reads"
    assert match(routes, "/a/b", host="a.test", method="PUT") == "any"
    assert match(routes[:2], "/a/b", host="a.test", method="PUT") == "root"


def test_hosts_are_compared_in_lower_case() -> None:
    assert match([route("r", hosts=("API.Example.COM.",))], "/", "api.example.com") == "r"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (dict(methods=("GET",), order=9), dict(order=1)),
        (dict(methods=("GET",), order=9), dict(headers=(ValueMatch("x", "1"),), order=1)),
        (
            dict(headers=(ValueMatch("x", "1"), ValueMatch("y", "", "present")), order=9),
            dict(headers=(ValueMatch("x", "1"),)),
        ),
        (dict(headers=(ValueMatch("x", "1"),), order=9), dict(query=(ValueMatch("q", "1"),))),
        (dict(query=(ValueMatch("q", "1"),), order=9), dict(order=1)),
        (dict(order=1), dict(order=2)),
        (dict(), dict()),
    ],
)
def test_ties_on_host_and_path(first: dict[str, object], second: dict[str, object]) -> None:
    routes = [route("a", **first), route("b", **second)]
    headers = [(b"x", b"1"), (b"y", b"")]
    assert (
        match(routes, "/", headers=headers, query="q=1")
        == match(routes[::-1], "/", headers=headers, query="q=1")
        == "a"
    )


def test_a_route_that_refuses_leaves_the_request_to_the_next() -> None:
    routes = [
        route("exact", "exact", "/a/b", methods=("POST",)),
        route("template", "template", "/a/{x}", methods=("PUT",)),
    ]
    routes += [route("long", "prefix", "/a", methods=("DELETE",)), route("root", headers=(ValueMatch("x"),))]
    names = [match(routes, "/a/b", method=method) for method in ("POST", "PUT", "DELETE", "GET")]
    assert names == ["exact", "template", "long", None]


def test_head_goes_where_get_goes() -> None:
    assert match([route("r", methods=("GET",))], "/", method="HEAD") == "r"
    assert match([route("r", methods=("POST",))], "/", method="HEAD") is None


def test_allowed_methods() -> None:
    table = RouteTable(
        [
            route("a", "prefix", "/a", methods=("GET", "PUT")),
            route("b", "exact", "/a/b", methods=("POST",)),
            route("c", "prefix", "/a", methods=("DELETE",), headers=(ValueMatch("x", "1"),)),
        ]
    )
    assert table.allowed_methods(b"h", b"/a/b") == {b"GET", b"HEAD", b"PUT", b"POST"}
    assert table.allowed_methods(b"h", b"/a/b", [(b"x", b"1")]) >= {b"DELETE"}
    assert table.allowed_methods(b"h", b"/nowhere") == set()


def test_the_builder_makes_the_same_table() -> None:
    builder = RouteTableBuilder()
    added = [builder.add(row) for row in PATHS]
    table = builder.finish()
    assert [compiled.index for compiled in added] == list(range(len(PATHS)))
    assert table.routes == added
    assert table.match(b"h", b"/a/b", b"GET", [], b"") is added[0]


def test_paths_of_many_segments_cost_no_more_than_their_bytes() -> None:
    table = RouteTable([route("p", "prefix", "/" + "/".join("a" * 50)), route("t", "template", "/{a}/{b}/c")])
    assert table.match(b"h", b"/a" * 4000, b"GET", [], b"") is table.routes[0]
    assert table.match(b"h", b"/b" * 4000, b"GET", [], b"") is None


# The reference: try every Route, keep those that match, take the least by a key computed from the rule.

SEGMENTS = ["a", "b", "c.json"]
path_values = st.lists(st.sampled_from(SEGMENTS), min_size=0, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
template_values = st.lists(st.sampled_from([*SEGMENTS, "{p}", "{p}.json"]), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(part.replace("p", f"p{place}") for place, part in enumerate(parts))
)
path_matches = (
    st.builds(PathMatch, st.sampled_from(["exact", "prefix"]), path_values)
    | st.builds(PathMatch, st.just("template"), template_values)
    | st.builds(PathMatch, st.just("regex"), st.sampled_from(["/a/.*", "/[ab]", "/[ab]/[ab]", ".*json"]))
)
hosts = st.sampled_from(["x.example", "*.example", "y.x.example", "*.x.example", "z.other"])
values = st.builds(
    ValueMatch,
    st.sampled_from(["k", "l"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["exact", "present"]),
)


@st.composite
def route_lists(draw: st.DrawFn) -> list[Route]:
    count = draw(st.integers(1, 12))
    return [
        Route(
            f"r{number}",
            "api",
            draw(path_matches),
            hosts=tuple(draw(st.lists(hosts, max_size=2, unique=True))),
            methods=tuple(draw(st.lists(st.sampled_from(["GET", "POST", "HEAD"]), max_size=2, unique=True))),
            headers=tuple(draw(st.lists(values, max_size=2))),
            query=tuple(draw(st.lists(values, max_size=1))),
            order=draw(st.integers(0, 2)),
        )
        for number in range(count)
    ]


def host_rank(pattern: str, host: str) -> int | None:
    if pattern.startswith("*."):
        return 1000 - len(pattern) if host.endswith(pattern[1:]) and len(host) >= len(pattern) else None
    return 0 if pattern == host else None


def segment_weight(segment: str) -> int:
    if "{" not in segment:
        return 2
    return 1 if re.sub(r"\{.*?\}", "", segment) else 0


def path_rank(rule: PathMatch, path: str) -> tuple[object, ...] | None:
    if rule.kind == "exact":
        return (0,) if rule.value == path else None
    if rule.kind == "template":
        pattern = re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(rule.value))
        weights = [-segment_weight(segment) for segment in rule.value[1:].split("/")]
        shape = tuple(re.sub(r"\{.*?\}", "\0", segment) for segment in rule.value.split("/"))
        rank = (1, -weights.count(-2), -weights.count(-1), tuple(weights), shape)
        return rank if re.fullmatch(pattern, path) else None
    if rule.kind == "regex":
        return (2, -len(rule.value)) if re.fullmatch(rule.value, path) else None
    below = path == rule.value or path.startswith(rule.value.rstrip("/") + "/")
    return (3, -len(rule.value)) if below else None


def holds(rules: tuple[ValueMatch, ...], sent: dict[str, str]) -> bool:
    return all(
        rule.name in sent and (rule.kind == "present" or sent[rule.name] == rule.value) for rule in rules
    )


def reference(
    routes: list[Route], host: str, path: str, method: str, headers: dict[str, str], query: dict[str, str]
) -> str | None:
    found: list[tuple[tuple[object, ...], str]] = []
    for row in routes:
        at_host = min(
            (rank for rank in (host_rank(name, host) for name in row.hosts) if rank is not None), default=None
        )
        at_path = path_rank(row.path, path)
        if not row.hosts:
            at_host = sys.maxsize
        takes = not row.methods or method in row.methods or (method == "HEAD" and "GET" in row.methods)
        if (
            at_host is None
            or at_path is None
            or not takes
            or not holds(row.headers, headers)
            or not holds(row.query, query)
        ):
            continue
        tie = (not row.methods, -len(row.headers), -len(row.query), row.order, row.name)
        found.append(((at_host, *at_path, *tie), row.name))
    return min(found)[1] if found else None


request_hosts = st.sampled_from(
    ["x.example", "y.x.example", "q.x.example", "z.other", "w.example", "nowhere"]
)
sent_values = st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"]), max_size=2)
request_paths = st.tuples(path_values, st.sampled_from(["", "/"])).map(
    lambda pair: pair[0].rstrip("/") + pair[1] or "/"
)


@settings(max_examples=400)
@given(
    route_lists(),
    st.lists(
        st.tuples(
            request_hosts, request_paths, st.sampled_from(["GET", "POST", "HEAD"]), sent_values, sent_values
        ),
        min_size=1,
        max_size=8,
    ),
    st.randoms(),
)
def test_the_table_agrees_with_the_reference_in_whatever_order_routes_come(
    routes: list[Route], requests: list[tuple[str, str, str, dict[str, str], dict[str, str]]], random: object
) -> None:
    shuffled = list(routes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    tables = RouteTable(routes), RouteTable(shuffled)
    for host, path, method, headers, query in requests:
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        text = "&".join(f"{name}={value}" for name, value in query.items())
        expected = reference(routes, host, path, method, headers, query)
        for table in tables:
            found = table.match(host.encode(), path.encode(), method.encode(), lines, text.encode())
            assert (found.config.name if found else None) == expected
            assert_consistent(table, found, host, path)


def assert_consistent(table: RouteTable, found: CompiledRoute | None, host: str, path: str) -> None:
    candidates = list(table.candidates(host.encode(), path.encode()))
    assert all(candidate.matches_path(path.encode()) for candidate in candidates)
    assert found is None or found in candidates
