"""Door one: our own HTTP/1.1 server on asyncio, httptools and uvloop.

A connection reads a head, or reads a body, or waits for the answer of a request that is complete and keeps
what the client sends ahead (pipelining) for later, so that answers leave in the order of the requests.
All rules are behind `Core`; here are bytes, framing and deadlines.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import httptools

from proxy.doors.wire import CONTINUE, LAST_CHUNK, UnsafeAnswer, chunk, head_bytes
from proxy.exchange import Exchange, Header, Response, problem

if TYPE_CHECKING:
    from proxy.core import Core
    from proxy.doors.listener import Listener
    from proxy.upstream.transport import UpstreamRelay

NEVER = float("inf")
LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024
DRAIN_BYTES = 64 * 1024
AHEAD_BYTES = 64 * 1024
EXTENSION_BYTES = 16 * 1024
CHUNK_OVERHEAD = 24
_AHEAD, _BODY = 1, 2
monotonic = time.monotonic


class NativeConnection(asyncio.Protocol):
    """One client connection; as the `Door` of its exchange it carries the answer."""

    transport: asyncio.Transport
    peer = ""
    x: Exchange | None = None
    """The request that is not answered to the end."""
    buffer = b""
    """An incomplete head, or what was sent ahead."""
    url = b""
    message_complete = False
    reading_body = False
    paused = 0
    write_paused = False
    requests = 0
    deadline = NEVER
    chunked_answer = False
    close_after = False
    lingering = False
    discarded = 0
    unsure_end = False
    """Something followed a chunked body in one piece: where it begins is not known, so it is not read."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.core: Core = listener.core
        self.scheme = listener.scheme
        self.parser = httptools.HttpRequestParser(self)
        self.lines: list[Header] = []
        self.body: list[bytes] = []

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if peer else ""
        if self.listener.admit(self):
            self.deadline = monotonic() + self.listener.limits.header_timeout
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.gone(self)
        x, self.x = self.x, None
        if x is not None:
            self.core.client_gone(x)

    def eof_received(self) -> bool:
        # A client that half-closes after its request may still read the answer (RFC 9112 9.6).
        if self.x is None or self.reading_body:
            return False
        self.close_after = True
        return True

    def data_received(self, data: bytes) -> None:
        while data:
            if self.reading_body:
                data = self._read_body(data)
            elif self.lingering:
                data = self._discard(data)
            elif self.x is not None or self.write_paused:
                data = self._read_ahead(data)
            else:
                data = self._read_head(self.buffer + data if self.buffer else data)

    def pause_writing(self) -> None:
        self.write_paused = True
        self.deadline = monotonic() + self.listener.limits.idle_timeout
        if self.x is not None and self.x.call is not None:
            self.x.call.pause_reading()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.x is not None:
            self.deadline = NEVER
            if self.x.call is not None:
                self.x.call.resume_reading()
        else:
            self._rest()

    # -- httptools callbacks

    def on_message_begin(self) -> None:
        if self.message_complete and self.reading_body:
            self.unsure_end = True
        self.lines = []
        self.url = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.lower(), value))

    def on_chunk_header(self) -> None:
        self.chunks += 1

    def on_body(self, data: bytes) -> None:
        if not self.unsure_end:
            self.body.append(data)

    def on_message_complete(self) -> None:
        self.message_complete = True

    # -- heads

    def _read_head(self, data: bytes) -> bytes:
        """Feed the head that `data` begins with to the parser; returns what follows it."""
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            self._incomplete(data)
            return b""
        head, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        self.buffer = b""
        self.message_complete = False
        if end > self.listener.limits.header_line_bytes and not self._fits(head):
            return b""
        try:
            self.parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self.message_complete = True
        except httptools.HttpParserError:
            self._malformed()
            return b""
        if self.url:
            self._begin()
        # Without a target there were only empty lines, which may stand in front (RFC 9112 2.2).
        return rest

    def _incomplete(self, data: bytes) -> None:
        if len(data) > self.listener.limits.header_line_bytes and not self._fits(data):
            return
        if data.count(b"\n") != data.count(b"\r\n") or not (b"A" <= data[:1] <= b"Z" or data[:1] == b"\r"):
            self._malformed()
            return
        if not self.buffer and self.requests:
            self.deadline = monotonic() + self.listener.limits.header_timeout
        self.buffer = data

    def _fits(self, head: bytes) -> bool:
        limits = self.listener.limits
        first = head.find(b"\r\n")
        if (first if first >= 0 else len(head)) > limits.header_line_bytes:
            self._reject(problem(414, "target-too-long", "The request line is too long.", close=True))
            return False
        if len(head) > limits.header_bytes or max(map(len, head.split(b"\r\n"))) > limits.header_line_bytes:
            self._reject(problem(431, "headers-too-large", "The request's headers are too large.", close=True))
            return False
        return True

    def _malformed(self) -> None:
        self._reject(problem(400, "malformed-request", "The request is not well-formed HTTP/1.1.", close=True))

    def _reject(self, response: Response) -> None:
        """The head cannot be read: nothing after it can be either."""
        x = self._exchange()
        x.method = x.path = b"-"
        self.reading_body = False
        self.core.reject(x, response)

    def _exchange(self) -> Exchange:
        self.x = x = Exchange()
        x.door = self
        x.peer = self.peer
        x.scheme = self.scheme
        x.started = monotonic()
        return x

    def _begin(self) -> None:
        self.requests += 1
        self.deadline = NEVER
        parser = self.parser
        version = parser.get_http_version()
        if version != "1.1" and version != "1.0":
            self._reject(problem(505, "version-not-supported", "Only HTTP/1.1 and 1.0 are.", close=True))
            return
        x = self._exchange()
        if version == "1.0":
            x.protocol = "HTTP/1.0"
        if not self.message_complete:
            self._expect_body(x)
        self.core.begin(x, parser.get_method(), self.url, self.lines)

    def _expect_body(self, x: Exchange) -> None:
        self.reading_body = True
        self.body_started = x.started
        self.deadline = x.started + self.listener.limits.idle_timeout
        self.chunks = 0
        self.body_bytes = 0
        self.wire_bytes = 0
        self.discarded = 0

    def _read_ahead(self, data: bytes) -> bytes:
        self.buffer += data
        if len(self.buffer) > AHEAD_BYTES:
            self._pause(_AHEAD)
        return b""

    def _rest(self) -> None:
        """Go on with what was sent ahead."""
        if self.paused & _AHEAD:
            self._resume(_AHEAD)
        data, self.buffer = self.buffer, b""
        if data and not self.transport.is_closing():
            self.data_received(data)

    # -- bodies

    def _read_body(self, data: bytes) -> bytes:
        """Feed a part of the body to the parser; returns what follows the body."""
        x, rest = self.x, b""
        length = x.content_length if x is not None else self.body_length
        if length is not None and length - self.body_bytes < len(data):
            data, rest = data[: length - self.body_bytes], data[length - self.body_bytes :]
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._broken_body(x)
            return b""
        parts, self.body = self.body, []
        if not self._within_bounds(data, parts):
            self._broken_body(x)
            return b""
        for part in parts:
            if x is not None:
                self.core.request_body(x, part)
        if self.message_complete:
            self._body_complete(x)
        elif x is None or x.finished:
            self._discard(data)
        return rest

    def _within_bounds(self, data: bytes, parts: list[bytes]) -> bool:
        """Keep the deadlines, and the bytes that are neither body nor needed to frame it (threats T-A11, T-A17)."""
        self.wire_bytes += len(data)
        self.body_bytes += sum(map(len, parts))
        limits = self.listener.limits
        if not self.paused:
            now = monotonic()
            slowest = self.body_started + limits.body_timeout + self.body_bytes / limits.body_min_rate
            self.deadline = min(now + limits.idle_timeout, slowest)
        overhead = self.wire_bytes - self.body_bytes
        return overhead <= EXTENSION_BYTES + CHUNK_OVERHEAD * self.chunks

    def _broken_body(self, x: Exchange | None) -> None:
        self.reading_body = False
        self.close_after = True
        if x is None or x.finished:
            self.transport.close()
        elif x.answered:
            self.core.client_gone(x)
            self.transport.abort()
        else:
            self.core.answer(
                x, problem(400, "malformed-body", "The request body is not well-formed.", close=True)
            )

    def _body_complete(self, x: Exchange | None) -> None:
        self.reading_body = False
        self.deadline = NEVER
        self.close_after |= self.unsure_end
        if x is not None:
            self.core.request_end(x)
        else:
            self._await_next()

    def _discard(self, data: bytes) -> bytes:
        """What nobody reads any more is thrown away, but not without end."""
        self.discarded += len(data)
        if self.discarded > LINGER_BYTES:
            self.transport.abort()
        return b""

    # -- the Door of the exchange

    def send_whole(self, x: Exchange, status: int, headers: list[Header], body: bytes) -> None:
        last = b"" if self._keeps(x) else b"connection: close\r\n"
        try:
            head = head_bytes(status, headers, last)
        except UnsafeAnswer:
            self.abort(x)
            return
        self.transport.write(head + body)
        self._done(x)

    def send_response(self, x: Exchange, status: int, headers: list[Header], body: bytes, close: bool) -> None:
        self.close_after |= close
        self.send_whole(x, status, headers, body)

    def send_head(self, x: Exchange, status: int, headers: list[Header], length: int | None) -> None:
        self.chunked_answer = False
        if length is not None:
            framing = b"content-length: %d\r\n" % length
        elif x.protocol == "HTTP/1.1":
            self.chunked_answer = True
            framing = b"transfer-encoding: chunked\r\n"
        else:
            self.close_after = True
            framing = b""
        if not self._keeps(x):
            framing += b"connection: close\r\n"
        try:
            self.transport.write(head_bytes(status, headers, framing))
        except UnsafeAnswer:
            self.core.client_gone(x)
            self.abort(x)
            return
        if self.write_paused and x.call is not None:
            x.call.pause_reading()

    def send_informational(self, x: Exchange, status: int, headers: list[Header]) -> None:
        if x.protocol == "HTTP/1.1":
            self.transport.write(head_bytes(status, headers, b""))

    def send_body(self, x: Exchange, data: bytes) -> None:
        self.transport.write(chunk(data) if self.chunked_answer else data)

    def send_end(self, x: Exchange) -> None:
        if self.chunked_answer:
            self.transport.write(LAST_CHUNK)
        self._done(x)

    def abort(self, x: Exchange) -> None:
        self.x = None
        self.transport.abort()

    def pause_body(self, x: Exchange) -> None:
        if self.x is x:
            self._pause(_BODY)

    def resume_body(self, x: Exchange) -> None:
        if self.x is x:
            self._resume(_BODY)

    def continue_body(self, x: Exchange) -> None:
        if self.x is x and not self.wire_bytes:
            self.transport.write(CONTINUE)

    def switch(self, x: Exchange, headers: list[Header], relay: UpstreamRelay, early: bytes) -> None:
        self.core.client_gone(x)
        self.abort(x)
        relay.cancel()

    def _keeps(self, x: Exchange) -> bool:
        """Whether the connection serves another request after this answer (RFC 9112 9.3)."""
        if self.close_after or x.close or self.listener.draining:
            keeps = False
        elif self.reading_body and (
            x.expect_continue or x.content_length is None or x.content_length - self.body_bytes > DRAIN_BYTES
        ):
            keeps = False
        else:
            keeps = x.protocol == "HTTP/1.1" or x.keep_alive
        self.close_after = not keeps
        return keeps

    def _done(self, x: Exchange) -> None:
        """The answer is out."""
        self.x = None
        self.body_length = x.content_length
        if self.paused:
            self._resume(self.paused)
        if self.close_after:
            self._close()
        elif not self.reading_body:
            self._await_next()

    def _await_next(self) -> None:
        if self.close_after:
            self._close()
            return
        if not self.write_paused:
            self.deadline = monotonic() + self.listener.limits.keepalive_timeout
        if self.buffer:
            asyncio.get_running_loop().call_soon(self._rest)

    def _close(self) -> None:
        """Close so that the client can read the answer although it may still be sending (RFC 9112 9.6)."""
        if not (self.reading_body or self.buffer or self.unsure_end or self.requests == 0):
            self.transport.close()
            return
        self.reading_body = False
        self.lingering = True
        self.discarded = 0
        self.buffer = b""
        self.deadline = monotonic() + LINGER_SECONDS
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def _pause(self, reason: int) -> None:
        if not self.paused:
            self.transport.pause_reading()
            if self.reading_body:
                self.deadline = NEVER
        self.paused |= reason

    def _resume(self, reason: int) -> None:
        self.paused &= ~reason
        if not self.paused and not self.transport.is_closing():
            self.transport.resume_reading()
            if self.reading_body:
                self.deadline = monotonic() + self.listener.limits.idle_timeout

    # -- deadlines and drain, from the listener

    def timed_out(self) -> None:
        """The deadline has passed: what it was for depends on what the connection was doing."""
        self.deadline = NEVER
        x = self.x
        if x is not None and self.reading_body and not x.answered:
            self.listener.metrics.bump("body_timeouts")
            self.core.answer(x, problem(408, "body-timeout", "The request body took too long.", close=True))
        elif self.buffer and x is None and not self.lingering and not self.write_paused:
            self.listener.metrics.bump("header_timeouts")
            self._reject(problem(408, "header-timeout", "The request's head took too long.", close=True))
        elif self.lingering or x is None:
            self.transport.abort() if self.lingering or self.write_paused else self.transport.close()
        else:
            self.transport.abort()

    def drain(self) -> None:
        """Take no further request; close now if none is under way and none has begun to arrive."""
        if self.x is None and not self.buffer and self.requests:
            self.transport.close()

    def cut(self) -> None:
        """The drain time is over."""
        self.transport.abort()
