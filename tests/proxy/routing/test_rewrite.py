"""Paths for upstream and Locations of redirects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.snapshot import PathMatch, Redirect, Route
from proxy.http.path import Canonical, canonical
from proxy.routing.compiled import CompiledRoute
from proxy.routing.rewrite import RewriteError, redirect_location, rewrite


def compiled(kind: str, value: str, **fields: object) -> CompiledRoute:
    return CompiledRoute(Route("r", "api", PathMatch(kind, value), **fields), 0)  # type: ignore[arg-type]


def rewritten(route: CompiledRoute, path: bytes) -> bytes:
    assert route.matches_path(path)
    return rewrite(route, path, route.extract(path) if route.has_params else None)


@pytest.mark.parametrize(
    ("kind", "value", "fields", "path", "expected"),
    [
        ("prefix", "/a", {}, b"/a/b", b"/a/b"),
        ("prefix", "/a", {"strip_prefix": True}, b"/a", b"/"),
        ("prefix", "/a", {"strip_prefix": True}, b"/a/", b"/"),
        ("prefix", "/a/", {"strip_prefix": True}, b"/a/b/", b"/b/"),
        ("prefix", "/", {"strip_prefix": True}, b"/a/b", b"/a/b"),
        ("exact", "/a", {"strip_prefix": True}, b"/a", b"/"),
        ("template", "/api/v1/{id}/x", {"strip_prefix": True}, b"/api/v1/7/x", b"/7/x"),
        ("template", "/{id}", {"strip_prefix": True}, b"/7", b"/7"),
        ("prefix", "/a", {"rewrite_path": "/b"}, b"/a/c", b"/b"),
        ("prefix", "/a", {"rewrite_path": "/é"}, b"/a/c", b"/%C3%A9"),
        ("prefix", "/a", {"rewrite_path": "/b", "strip_prefix": True}, b"/a/c", b"/b/c"),
        ("prefix", "/a", {"rewrite_path": "/b/", "strip_prefix": True}, b"/a/c", b"/b/c"),
        ("prefix", "/a", {"rewrite_path": "/", "strip_prefix": True}, b"/a", b"/"),
        ("prefix", "/", {"rewrite_path": "/b", "strip_prefix": True}, b"/a", b"/b/a"),
        ("template", "/{a}/x/{b}", {"rewrite_path": "/y/{b}/{a}.json"}, b"/1/x/2", b"/y/2/1.json"),
        ("template", "/{a}", {"rewrite_path": "/y/{a}/{a}"}, b"/%C3%A9", b"/y/%C3%A9/%C3%A9"),
        ("regex", "/(?P<a>[a-z]*)/(?P<rest>.*)", {"rewrite_path": "/{rest}/{a}"}, b"/x/y/z", b"/y/z/x"),
        ("regex", "/(?P<a>[a-z]*)(?P<rest>/.*)?", {"rewrite_path": "/n{rest}"}, b"/x", b"/n"),
        ("regex", "/x(?P<rest>.*)", {"rewrite_path": "/{rest}"}, b"/x/evil.example/", b"/evil.example/"),
    ],
)
def test_rewriting(kind: str, value: str, fields: dict[str, object], path: bytes, expected: bytes) -> None:
    assert rewritten(compiled(kind, value, **fields), path) == expected


def test_what_rewrites_nothing_costs_nothing() -> None:
    assert compiled("prefix", "/a").rewriter is None
    assert compiled("prefix", "/", strip_prefix=True).rewriter is None
    assert compiled("template", "/{id}", strip_prefix=True).rewriter is None


def test_values_cannot_lead_out_of_the_rewritten_path() -> None:
    route = compiled("regex", "/x/(?P<a>[^/]*)f", rewrite_path="/data/{a}/secret")
    assert rewritten(route, b"/x/1f") == b"/data/1/secret"
    with pytest.raises(RewriteError):
        rewritten(route, b"/x/..f")


def location(redirect: Redirect, kind: str = "prefix", value: str = "/a", query: bytes = b"q=1") -> bytes:
    route = compiled(kind, value, redirect=redirect)
    path = b"/a/b"
    return redirect_location(route, b"http", b"h.example", path, query, route.extract(path))


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (Redirect(scheme="https"), b"https://h.example/a/b?q=1"),
        (Redirect(scheme="https", port=8443), b"https://h.example:8443/a/b?q=1"),
        (Redirect(scheme="https", port=443), b"https://h.example/a/b?q=1"),
        (Redirect(host="other.example"), b"http://other.example/a/b?q=1"),
        (Redirect(port=8080), b"http://h.example:8080/a/b?q=1"),
        (Redirect(path="/c"), b"/c?q=1"),
        (Redirect(replace_prefix="/c"), b"/c/b?q=1"),
        (Redirect(replace_prefix="/"), b"/b?q=1"),
        (Redirect(replace_prefix=""), b"/b?q=1"),
    ],
)
def test_redirects(redirect: Redirect, expected: bytes) -> None:
    assert location(redirect) == expected


def test_redirects_fill_in_parameters_and_leave_out_an_empty_query() -> None:
    assert location(Redirect(path="/new/{id}"), "template", "/a/{id}", b"") == b"/new/b"


@given(
    st.lists(st.sampled_from(["a", "b", ".", "..", "%2e%2e", "%2f", "", ";x", "..;"]), max_size=8),
    st.booleans(),
)
def test_whatever_is_stripped_stays_canonical(segments: list[str], swap: bool) -> None:
    result = canonical(("/a/" + "/".join(segments)).encode(), allow_encoded=True)
    route = compiled("prefix", "/a", strip_prefix=True, rewrite_path="/new" if swap else None)
    if isinstance(result, Canonical) and route.matches_path(result.path):
        forwarded = rewrite(route, result.path, None)
        again = canonical(forwarded, allow_encoded=True)
        assert isinstance(again, Canonical)
        assert again.path == forwarded
        assert forwarded.startswith(b"/new" if swap else b"/")
