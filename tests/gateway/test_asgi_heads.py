"""What the ASGI door makes of scopes, and of answers' heads, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.doors.asgi_heads import (
    BadScope,
    answer_headers,
    framed_headers,
    may_hide_body,
    protocol,
    request_target,
)
from proxy.doors.wire import UnsafeAnswer
from proxy.exchange import Exchange, UpstreamHead


def scope(**changes: Any) -> dict[str, Any]:
    """A plain GET."""
    plain = {"http_version": "1.1", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    return {**plain, **changes}


@pytest.mark.parametrize(
    ("version", "name"),
    [("1.1", "HTTP/1.1"), ("1.0", "HTTP/1.0"), ("1", "HTTP/1.0"), ("2", "HTTP/2"), ("3", "HTTP/3")],
)
def test_versions(version: str, name: str) -> None:
    assert protocol(scope(http_version=version)) == name


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(BadScope):
        protocol(scope(http_version="0.9"))


@pytest.mark.parametrize(
    ("parts", "target"),
    [
        ({"raw_path": b"/a%2fb", "path": "/a/b"}, b"/a%2fb"),
        ({"raw_path": b"/a", "query_string": b"x=%20"}, b"/a?x=%20"),
        ({"path": "/caf\u00e9 x"}, b"/caf%C3%A9%20x"),
        ({"path": "/100%25"}, b"/100%2525"),
        ({"path": "/a?b#c"}, b"/a%3Fb%23c"),
        ({"path": "/a\r\nb"}, b"/a%0D%0Ab"),
        ({"raw_path": None, "path": "/;v=1/~x"}, b"/;v=1/~x"),
    ],
)
def test_targets(parts: dict[str, Any], target: bytes) -> None:
    assert request_target(scope(**parts)) == target


def test_a_path_that_lost_bytes_is_refused() -> None:
    with pytest.raises(BadScope):
        request_target(scope(path="/\ufffd"))


@pytest.mark.parametrize("name", [b"connection", b"transfer-encoding", b"upgrade", b"keep-alive"])
def test_connection_headers_are_malformed_in_http2(name: bytes) -> None:
    with pytest.raises(BadScope):
        framed_headers(scope(headers=[(name, b"x")]), b"")


def test_cookies_become_one_header() -> None:
    headers = [(b"cookie", b"a=1"), (b"x", b"1"), (b"cookie", b"b=2")]
    assert framed_headers(scope(headers=headers), b"") == [(b"x", b"1"), (b"cookie", b"a=1; b=2")]


@pytest.mark.parametrize(
    ("body", "added"),
    [(b"", []), (b"abc", [(b"content-length", b"3")]), (None, [(b"transfer-encoding", b"chunked")])],
)
def test_bodies_that_no_header_announces(body: bytes | None, added: list[tuple[bytes, bytes]]) -> None:
    assert framed_headers(scope(), body) == added


def test_who_may_hide_a_body() -> None:
    assert may_hide_body(scope(method="POST"))
    assert not may_hide_body(scope(method="GET"))
    assert not may_hide_body(scope(method="POST", headers=[(b"content-length", b"0")]))


def test_an_answer() -> None:
    x = Exchange(request_id=b"id", extra=[(b"x-added", b"1")])
    head = UpstreamHead(200, None, 2, b"Content-Type: a/b\r\nX-Two: 1\r\nx-two:2\r\n")
    expected = [(b"content-type", b"a/b"), (b"x-two", b"1"), (b"x-two", b"2"), (b"x-added", b"1")]
    tail = [(b"x-request-id", b"id"), (b"content-length", b"2")]
    assert answer_headers(x, head, 2) == expected + tail
    assert answer_headers(x, head, 2) == expected + tail, "the second time from memory"
    assert answer_headers(x, head, None) == expected + tail[:1]


def test_an_http2_answer_has_no_connection_headers() -> None:
    x = Exchange(request_id=b"id", protocol="HTTP/2")
    head = UpstreamHead(200, [(b"connection", b"close"), (b"x", b"1")], 0)
    assert answer_headers(x, head, None) == [(b"x", b"1"), (b"x-request-id", b"id")]


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\0b"])
def test_an_unsafe_answer(value: bytes) -> None:
    with pytest.raises(UnsafeAnswer):
        answer_headers(Exchange(), UpstreamHead(200, [(b"x", value)], 0), 0)
    with pytest.raises(UnsafeAnswer):
        answer_headers(Exchange(extra=[(b"x", value)]), UpstreamHead(200, [], 0), 0)
