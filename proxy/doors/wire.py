"""The bytes of HTTP/1.1 answers (RFC 9112)."""

from __future__ import annotations

from http import HTTPStatus

from proxy.exchange import Exchange, Header, UpstreamHead

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class UnsafeAnswer(Exception):
    """A header of the answer holds a line break; it must not be sent."""


STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
} | {status: b"HTTP/1.1 %d \r\n" % status for status in range(100, 600) if status not in set(HTTPStatus)}
CLOSE = b"connection: close\r\n"


def answer(x: Exchange, head: UpstreamHead, length: int | None, last: bytes, body: bytes = b"") -> bytes:
    """An answer with the headers that every answer carries. Raises `UnsafeAnswer`.

    `length` is the Content-Length, None for none; `last` is empty or further complete lines.
    """
    block = head.block
    if block is None:
        block = _lines(head.headers)
    if x.extra is not None:
        block += _lines(x.extra)
    late = b"" if x.late is None else x.late.lines(x.late_of)
    if length is None:
        return b"%b%b%bx-request-id: %b\r\n%b\r\n%b" % (
            STATUS_LINES[head.status],
            block,
            late,
            x.request_id,
            last,
            body,
        )
    return b"%b%b%bx-request-id: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        STATUS_LINES[head.status],
        block,
        late,
        x.request_id,
        length,
        last,
        body,
    )


def _lines(headers: list[Header]) -> bytes:
    block = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    if block.count(b"\n") != len(headers) or block.count(b"\r") != len(headers):
        raise UnsafeAnswer
    return block


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)
