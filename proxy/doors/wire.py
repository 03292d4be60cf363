"""The bytes of HTTP/1.1 answers (RFC 9112)."""

from __future__ import annotations

import functools
from http import HTTPStatus

from proxy.exchange import Header

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class UnsafeAnswer(Exception):
    """A header of the answer holds a line break; it must not be sent."""


@functools.lru_cache(maxsize=1024)
def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK` with its line end; the reason is empty for statuses without a name."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    return f"HTTP/1.1 {status} {reason}\r\n".encode()


def head_bytes(status: int, headers: list[Header], last: bytes) -> bytes:
    """A whole head. `last` is empty or further complete lines. Raises `UnsafeAnswer`."""
    parts = [status_line(status)]
    parts += [b"%s: %s\r\n" % pair for pair in headers]
    head = b"".join(parts)
    if head.count(b"\n") != len(parts) or head.count(b"\r") != len(parts):
        raise UnsafeAnswer
    return b"%s%s\r\n" % (head, last)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)
