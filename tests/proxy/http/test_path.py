"""The canonical path: threats T-C of the catalogue, and the properties that everything else relies on."""

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.path import Canonical, PathError, canonical, plain_path, split_absolute

KEPT = [
    b"/",
    b"/a",
    b"/a/",
    b"/a/b.c/d",
    b"/ADMIN",
    b"/admin.",
    b"/api../admin",
    b"/.well-known/x",
    b"/...",
    b"/a;v=1/b",
    b"/;/a",
    b"/a/b;..",
    b"/caf%C3%A9",
    b"/%C0%AE%C0%AE/admin",
    b"/%FF",
    b"/%ED%A0%80",
    b"/%EF%BC%8E%EF%BC%8E%EF%BC%8F",
    b"/admin%20",
    b"/a!$&'()*+,;=:@b",
    b"/a%21",
]
CHANGED = {
    b"/api/../admin": b"/admin",
    b"/api/%2e%2e/admin": b"/admin",
    b"/api/%2E./admin": b"/admin",
    b"/api%2e%2e/admin": b"/api../admin",
    b"//admin": b"/admin",
    b"/public//admin": b"/public/admin",
    b"///": b"/",
    b"/a/./b": b"/a/b",
    b"/a/.": b"/a/",
    b"/a/..": b"/",
    b"/a/b/..": b"/a/",
    b"/a/b/../": b"/a/",
    b"/a//../b": b"/b",
    b"/%61%7e%2d": b"/a~-",
    b"/caf%c3%a9": b"/caf%C3%A9",
    b"/a{b}|c^": b"/a%7Bb%7D%7Cc%5E",
}
REFUSED = [
    b"",
    b"admin",
    b"@evil/",
    b".evil.com/",
    b"*",
    b"?a",
    b"/..",
    b"/a/../..",
    b"/%2e%2e/admin",
    b"/public\\..\\admin",
    b"/public#/../admin",
    b"/a b",
    b'/a"b',
    b"/a\tb",
    b"/a\x00",
    b"/a\x7f",
    b"/caf\xc3\xa9",
    b"/public/..;/admin",
    b"/public/..;x=1/admin",
    b"/public/.;/admin",
    b"/public/%2e%2e;/admin",
    b"/%",
    b"/%2",
    b"/%zz",
    b"/%u002e",
    b"/admin%00",
    b"/admin%0a",
    b"/admin%0D%0AX:1",
    b"/admin%09",
    b"/admin%7f",
]
AMBIGUOUS = [
    b"/a%2fb",
    b"/a%5Cb",
    b"/a%3bb",
    b"/a%252e",
    b"/%252e%252e%252f",
    b"/a%3fb",
    b"/a%23b",
    b"/%2500",
]


def path_of(target: bytes, **options: bool) -> bytes:
    result = canonical(target, **options)
    assert isinstance(result, Canonical), result
    return result.path


@pytest.mark.parametrize("target", KEPT)
def test_canonical_paths_stay_as_they_are(target: bytes) -> None:
    assert canonical(target) == Canonical(target, target, b"", False)


@pytest.mark.parametrize(("target", "expected"), CHANGED.items())
def test_other_spellings_come_out_in_the_one_form(target: bytes, expected: bytes) -> None:
    assert path_of(target) == expected


@pytest.mark.parametrize("target", REFUSED)
@pytest.mark.parametrize("allow_encoded", [False, True])
def test_what_is_refused(target: bytes, allow_encoded: bool) -> None:
    assert isinstance(canonical(target, allow_encoded=allow_encoded), PathError)


@pytest.mark.parametrize("target", AMBIGUOUS)
def test_ambiguous_escapes_are_refused_unless_asked_for(target: bytes) -> None:
    assert isinstance(canonical(target), PathError)
    result = canonical(target, allow_encoded=True)
    assert isinstance(result, Canonical)
    assert result.encoded
    assert result.path.lower() == target.lower(), "decoded at most once, and forwarded as it came"


@pytest.mark.parametrize(
    "target", [b"/a/..%2fadmin", b"/a/%2e%2e%5cadmin", b"/a%2f..%2fb", b"/a/..%3bx/b", b"/a/.%2Fb"]
)
def test_dot_segments_behind_escaped_separators_are_refused_even_then(target: bytes) -> None:
    assert isinstance(canonical(target, allow_encoded=True), PathError)


@pytest.mark.parametrize(
    "query",
    [b"", b"a=1&a=2", b"a=1;b=2", b"%26&%zz&%00", b"u=//x/../y", b"?", b'"{}\\|', b"a=" + b"x" * 9000],
)
@pytest.mark.parametrize("path", [b"/p", b"/x/../p"])
def test_the_query_is_forwarded_byte_for_byte(path: bytes, query: bytes) -> None:
    assert canonical(path + b"?" + query) == Canonical(b"/p?" + query, b"/p", query, False)


@pytest.mark.parametrize("query", [b"a b", b"a#b", b"a\n", b"\xc3\xa9", b"\x00", b"a\x7f"])
@pytest.mark.parametrize("path", [b"/p", b"/x/../p"])
def test_a_broken_query_is_refused(path: bytes, query: bytes) -> None:
    assert isinstance(canonical(path + b"?" + query), PathError)


def test_an_empty_query_is_told_from_none() -> None:
    empty, none = canonical(b"/a?"), canonical(b"/a")
    assert isinstance(empty, Canonical)
    assert isinstance(none, Canonical)
    assert (empty.target[len(empty.path) :], none.target[len(none.path) :]) == (b"?", b"")


PIECES = b"/ / . .. a B ; %2e %2E %2f %5c %25 %3b %61 %c3%a9 // ? { \\ # %00 % 2 e %0a \xff ~ %7e %7E".split(
    b" "
)
TEXT = st.lists(st.sampled_from([*PIECES, b" ", b"\xff"]), max_size=24).map(
    lambda parts: b"/" + b"".join(parts)
)


@given(TEXT)
def test_canonical_of_canonical_is_the_same(target: bytes) -> None:
    for allow_encoded in (False, True):
        result = canonical(target, allow_encoded=allow_encoded)
        if isinstance(result, Canonical):
            assert canonical(result.target, allow_encoded=allow_encoded) == result


@given(TEXT | st.binary(max_size=40))
def test_what_comes_out_has_no_second_reading(target: bytes) -> None:
    result = canonical(target, allow_encoded=True)
    if isinstance(result, Canonical):
        segments = result.path.split(b"/")
        assert result.path.startswith(b"/")
        assert b"//" not in result.path
        assert not {b".", b".."} & {segment.split(b";")[0] for segment in segments}
        assert all(0x20 < byte < 0x7F for byte in result.target)
        assert result.target in (result.path, result.path + b"?" + result.query)
        assert (canonical(target) == result) != result.encoded


@given(TEXT | st.binary(max_size=40))
def test_a_plain_path_is_canonical(target: bytes) -> None:
    assert not plain_path(b"")
    if plain_path(target):
        assert canonical(target) == Canonical(target, target, b"", False)


def test_the_usual_path_is_cheap() -> None:
    target = b"/api/v1/orders/12345/items"
    quick = min(timeit.repeat(lambda: canonical(target), number=2000, repeat=5))
    slow = min(timeit.repeat(lambda: canonical(b"/x/.." + target), number=2000, repeat=5))
    assert quick * 3 < slow


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://admin.internal/x", (b"http", b"admin.internal", b"/x")),
        (b"HTTPS://A:9?q=1", (b"https", b"A:9", b"/?q=1")),
        (b"http://a", (b"http", b"a", b"/")),
        (b"http://[::1]:80/a?b", (b"http", b"[::1]:80", b"/a?b")),
        (b"http:///x", None),
        (b"/x", None),
        (b"//a/x", None),
        (b"a:80", None),
        (b"http://a#b", None),
    ],
)
def test_absolute_targets_are_split(target: bytes, expected: tuple[bytes, bytes, bytes] | None) -> None:
    assert split_absolute(target) == expected
