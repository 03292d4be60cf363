"""The bytes of HTTP/1.1 answers (RFC 9112)."""

from __future__ import annotations

from http import HTTPStatus

from proxy.exchange import Exchange, Header

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class UnsafeAnswer(Exception):
    """A header of the answer holds a line break; it must not be sent."""


STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
} | {status: b"HTTP/1.1 %d \r\n" % status for status in range(100, 600) if status not in set(HTTPStatus)}
CLOSE = b"connection: close\r\n"


def answer_head(x: Exchange, status: int, headers: list[Header], length: int | None, last: bytes) -> bytes:
    """The head of an answer with the headers that every answer carries. Raises `UnsafeAnswer`.

    `length` is the Content-Length, None for none; `last` is empty or further complete lines.
    """
    parts = [STATUS_LINES[status]]
    parts += [b"%s: %s\r\n" % pair for pair in headers]
    if x.extra is not None:
        parts += [b"%s: %s\r\n" % pair for pair in x.extra]
    if length is None:
        parts.append(b"x-request-id: %s\r\n" % x.request_id)
        lines = len(parts)
    else:
        parts.append(b"x-request-id: %s\r\ncontent-length: %d\r\n" % (x.request_id, length))
        lines = len(parts) + 1
    head = b"".join(parts)
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise UnsafeAnswer
    return b"%s%s\r\n" % (head, last)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)
