"""HTTP/1.1 heads at the upstream side: the request's, written; the answer's, understood."""

from __future__ import annotations

import enum
import re

from proxy.exchange import Exchange, Header, UpstreamHead

_DIGITS = re.compile(rb"[0-9]{1,15}")


class UnsafeHeader(Exception):
    """A header to be sent holds a line break: sending it would let one request become two."""


def request_head(x: Exchange, default_host: bytes) -> bytes:
    """The request head for the upstream. Raises `UnsafeHeader` (threats T-A27)."""
    parts = [
        b"%s %s HTTP/1.1\r\nhost: %s\r\n"
        % (x.upstream_method or x.method, x.upstream_target or x.target, x.host_header or default_host)
    ]
    parts += [b"%s: %s\r\n" % pair for pair in x.forward]
    parts.append(
        b"x-forwarded-for: %s\r\nx-forwarded-proto: %s\r\nx-forwarded-host: %s\r\nx-real-ip: %s\r\n"
        b"x-request-id: %s\r\ntraceparent: %s\r\n"
        % (
            x.forwarded_for,
            x.forwarded_proto or x.scheme,
            x.forwarded_host or x.host,
            x.client_ip.encode(),
            x.request_id,
            x.traceparent,
        )
    )
    lines = len(x.forward) + 9
    if x.content_length is None:
        parts.append(b"transfer-encoding: chunked\r\n\r\n")
    elif x.content_length or x.method in _WITH_BODY:
        parts.append(b"content-length: %d\r\n\r\n" % x.content_length)
    elif x.websocket:
        parts.append(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
        lines += 1
    else:
        parts.append(b"\r\n")
        lines -= 1
    head = b"".join(parts)
    if head.count(b"\n") != lines + 1 or head.count(b"\r") != lines + 1:
        raise UnsafeHeader
    return head


_WITH_BODY = frozenset((b"POST", b"PUT", b"PATCH"))


class BadAnswer(Exception):
    """The upstream's head is ambiguous or malformed; its connection is not used again."""


class _Kind(enum.IntEnum):
    KEEP = 0
    LENGTH = 1
    ENCODING = 2
    CONNECTION = 3
    DROP = 4


_KINDS: dict[bytes, int] = {
    b"content-length": _Kind.LENGTH,
    b"transfer-encoding": _Kind.ENCODING,
    b"connection": _Kind.CONNECTION,
    **dict.fromkeys(
        b"keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer upgrade "
        b"x-request-id".split(),
        _Kind.DROP,
    ),
}


def read_head(status: int, lines: list[Header]) -> tuple[UpstreamHead, bool]:
    """The head without hop-by-hop headers, and whether the body is chunked. Raises `BadAnswer`."""
    kept: list[Header] = []
    length: bytes | None = None
    encoding: bytes | None = None
    named: bytes | None = None
    for pair in lines:
        kind = _KINDS.get(pair[0])
        if kind is None:
            kept.append(pair)
        elif kind == _Kind.LENGTH:
            if length is not None:
                raise BadAnswer("more than one Content-Length")
            length = pair[1]
        elif kind == _Kind.ENCODING:
            if encoding is not None or pair[1].lower() != b"chunked":
                raise BadAnswer("unknown Transfer-Encoding")
            encoding = pair[1]
        elif kind == _Kind.CONNECTION:
            named = pair[1] if named is None else b"%s,%s" % (named, pair[1])
    if length is not None and (encoding is not None or not _DIGITS.fullmatch(length)):
        raise BadAnswer("ambiguous Content-Length")
    if named is not None:
        kept = without_named(kept, named)
    return UpstreamHead(status, kept, None if length is None else int(length)), encoding is not None


def without_named(headers: list[Header], connection: bytes) -> list[Header]:
    """Headers less those that the Connection header names (RFC 9110 7.6.1)."""
    named = {option.strip(b" \t") for option in connection.lower().split(b",")}
    named -= {b"close", b"keep-alive", b"upgrade"}
    return [pair for pair in headers if pair[0] not in named] if named else headers
