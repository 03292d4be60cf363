"""What is wrong with Routes that cannot be compiled, all at once; header and query conditions."""

import pytest

from proxy.config.snapshot import PathMatch, Redirect, Route, ValueMatch
from proxy.routing.compiled import CompiledRoute, problems
from proxy.routing.conditions import first_values


def route(kind: str = "prefix", value: str = "/", **fields: object) -> Route:
    return Route("r", "api", PathMatch(kind, value), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "good",
    [
        route(),
        route("exact", "/a%20b/ü"),
        route("exact", "/a%2Fb"),
        route("template", "/a/{id}/b/{other-id}.json"),
        route("regex", r"/v[0-9]+/(?P<rest>.*)", rewrite_path="/{rest}"),
        route(hosts=("*",)),
        route(hosts=("*.example.com", "[::1]", "127.0.0.1", "localhost")),
        route(methods=("GET", "M-SEARCH")),
        route("prefix", "/a", redirect=Redirect(replace_prefix="/b")),
    ],
)
def test_what_is_fine(good: Route) -> None:
    assert problems(good) == []


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (route("prefix", "a"), "path.value"),
        (route("exact", ""), "path.value"),
        (route("exact", "/a?b"), "path.value"),
        (route("exact", "/a#b"), "path.value"),
        (route("exact", "/a/../b"), "path.value"),
        (route("prefix", "//a"), "path.value"),
        (route("exact", "/a b"), "path.value"),
        (route("exact", "/a%00"), "path.value"),
        (route("template", "/{id}/{id}"), "path.value"),
        (route("template", "/{a}{b}"), "path.value"),
        (route("template", "/{}"), "path.value"),
        (route("template", "/a//{b}"), "path.value"),
        (route("template", "/.."), "path.value"),
        (route("template", "/x{"), "path.value"),
        (route("template", "/a" * 100), "path.value"),
        (route("regex", "("), "path.value"),
        (route("regex", "/(a+)+"), "path.value"),
        (route("regex", "/é"), "path.value"),
        (route("regex", "/" + "a" * 2000), "path.value"),
        (route(hosts=("a:80",)), "hosts"),
        (route(hosts=("a.*.b",)), "hosts"),
        (route(hosts=("é.example",)), "hosts"),
        (route(hosts=("a..b",)), "hosts"),
        (route(hosts=("",)), "hosts"),
        (route(methods=("get",)), "methods"),
        (route(headers=(ValueMatch("a b"),)), "headers"),
        (route(headers=(ValueMatch("a", "(x+)+", "regex"),)), "headers"),
        (route(query=(ValueMatch(""),)), "query"),
        (route("regex", "/a", strip_prefix=True), "strip_prefix"),
        (route(rewrite_path="x"), "rewrite_path"),
        (route(rewrite_path="/{id}"), "rewrite_path"),
        (route(rewrite_path="/x?y"), "rewrite_path"),
        (route("template", "/{id}", rewrite_path="/a/../{id}"), "rewrite_path"),
        (route("exact", "/a", redirect=Redirect(replace_prefix="/b")), "redirect.replace_prefix"),
        (route(redirect=Redirect(scheme="ftp")), "redirect.scheme"),
        (route(redirect=Redirect(host="a/b")), "redirect.host"),
        (route(redirect=Redirect(port=70000)), "redirect.port"),
        (route(redirect=Redirect(path="//evil.example/")), "redirect.path"),
    ],
)
def test_what_is_refused_names_its_field(bad: Route, field: str) -> None:
    found = problems(bad)
    assert [name for name, _ in found] == [field]
    assert found[0][1]


def test_several_problems_are_reported_at_once() -> None:
    bad = route(hosts=("a b",), methods=("get",), headers=(ValueMatch(""),))
    assert {field for field, _ in problems(bad)} == {"hosts", "methods", "headers"}


def holds(lines: list[tuple[bytes, bytes]], raw_query: bytes, **fields: object) -> bool:
    test = CompiledRoute(route(**fields), 0).test
    assert test is not None
    return test(lines, raw_query)


@pytest.mark.parametrize(
    ("condition", "lines", "expected"),
    [
        (ValueMatch("X-A", "1"), [(b"x-a", b"1")], True),
        (ValueMatch("x-a", "1"), [(b"x-a", b"2")], False),
        (ValueMatch("x-a", "1"), [(b"x-a", b"1"), (b"x-a", b"2")], False),
        (ValueMatch("x-a", "1, 2"), [(b"x-a", b"1"), (b"x-a", b"2")], True),
        (ValueMatch("x-a", "1"), [], False),
        (ValueMatch("x-a", ""), [], False),
        (ValueMatch("x-a", ""), [(b"x-a", b"")], True),
        (ValueMatch("x-a", "", "present"), [(b"x-a", b"")], True),
        (ValueMatch("x-a", "", "present"), [(b"x-b", b"")], False),
        (ValueMatch("x-a", "v[0-9]", "regex"), [(b"x-a", b"v1")], True),
        (ValueMatch("x-a", "v[0-9]", "regex"), [(b"x-a", b"v12")], False),
        (ValueMatch("x-a", ".*", "regex"), [(b"x-a", b"x" * 5000)], False),
    ],
)
def test_header_conditions(condition: ValueMatch, lines: list[tuple[bytes, bytes]], expected: bool) -> None:
    assert holds(lines, b"", headers=(condition,)) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"q=a+b", True),
        (b"q=a%20b", True),
        (b"%71=a%20b", True),
        (b"q=x&q=a+b", False),
        (b"q=a+b&q=x", True),
        (b"p=1;q=a+b", False),
        (b"", False),
        (b"q", False),
        (b"Q=a+b", False),
    ],
)
def test_query_conditions_look_at_the_first_value_decoded(query: bytes, expected: bool) -> None:
    assert holds([], query, query=(ValueMatch("q", "a b"),)) is expected


def test_query_parsing_keeps_what_is_malformed() -> None:
    assert first_values(b"a=%zz&b=%ff&&=x&c=1=2") == {b"a": b"%zz", b"b": b"\xff", b"": b"x", b"c": b"1=2"}
