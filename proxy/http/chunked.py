"""Chunked bodies (RFC 9112 7.1), read by llhttp.

The head of a message is read elsewhere; the parser is shown one that only says "chunked" and then sees
nothing but body.
"""

from __future__ import annotations

from typing import Any

import httptools

EXTENSION_BYTES = 16 * 1024
CHUNK_OVERHEAD = 24
MAX_TRAILERS = 100


class BadChunk(Exception):
    """The body is not well-formed, or holds more framing than any body needs."""


class ChunkedBody:
    """Feed it bytes, take the body out of them. Trailers are dropped (threats T-A17).

    `excess` is True if something followed the end of the body in one piece: what it is and where it begins
    is not known, so nothing more may be read from that connection.
    """

    def __init__(self, parser: type[Any], head: bytes) -> None:
        self.complete = False
        self.excess = False
        self._parts: list[bytes] = []
        self._chunks = 0
        self._overhead = 0
        self._trailers = 0
        self._in_body = False
        self._parser = parser(self)
        self._parser.feed_data(head)
        self._in_body = True

    @classmethod
    def of_request(cls) -> ChunkedBody:
        """For the body of a request."""
        return cls(httptools.HttpRequestParser, b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")

    @classmethod
    def of_response(cls) -> ChunkedBody:
        """For the body of a response."""
        return cls(httptools.HttpResponseParser, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    def feed(self, data: bytes) -> list[bytes]:
        """The parts of the body in `data`. Raises `BadChunk`."""
        if self.complete:
            self.excess = True
            return []
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:
                raise BadChunk(str(error)) from None
            self.excess = True
        parts, self._parts = self._parts, []
        self._overhead += len(data) - sum(map(len, parts))
        if self._overhead > EXTENSION_BYTES + CHUNK_OVERHEAD * self._chunks or self._trailers > MAX_TRAILERS:
            raise BadChunk("too much framing for the body in it")
        return parts

    def on_message_begin(self) -> None:
        """From httptools: something follows the body."""
        self.excess = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """From httptools: a trailer."""
        self._trailers += self._in_body

    def on_chunk_header(self) -> None:
        """From httptools: a chunk begins."""
        self._chunks += 1

    def on_body(self, data: bytes) -> None:
        """From httptools: a part of a chunk."""
        if not self.complete:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        """From httptools: the body is over."""
        self.complete = True
