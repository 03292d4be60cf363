"""Door one: our own HTTP/1.1 server on asyncio and uvloop.

A connection reads a head, or reads a body, or waits for the answer of a request that is complete and keeps
what the client sends ahead (pipelining) for later, so that answers leave in the order of the requests.
All rules are behind `Core`; here are bytes, framing and deadlines.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from proxy.core import NO_CHAIN
from proxy.doors.native_websocket import NativeWebSocket
from proxy.doors.wire import CLOSE, CONTINUE, LAST_CHUNK, STATUS_LINES, UnsafeAnswer, answer, chunk
from proxy.exchange import Exchange, Header, Response, UpstreamHead, problem
from proxy.http.addresses import peer_ip
from proxy.http.chunked import BadChunk, ChunkedBody
from proxy.http.forwarded import origin_lines

if TYPE_CHECKING:
    from proxy.core import Core
    from proxy.doors.listener import Listener
    from proxy.upstream.transport import UpstreamRelay

NEVER = float("inf")
LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024
DRAIN_BYTES = 64 * 1024
AHEAD_BYTES = 64 * 1024
_AHEAD, _BODY = 1, 2
monotonic = time.monotonic


class RequestBody:
    """A request body on its way in: where it ends, and how it keeps time."""

    __slots__ = ("_chunks", "left", "received", "started")

    def __init__(self, x: Exchange) -> None:
        self.started = x.started
        self.received = 0
        self.left: float = NEVER if x.content_length is None else x.content_length
        self._chunks = ChunkedBody.of_request() if x.content_length is None else None

    @property
    def complete(self) -> bool:
        """All of it is here."""
        return self._chunks.complete if self._chunks is not None else self.left == 0

    @property
    def excess(self) -> bool:
        """Something followed a chunked body in one piece; it is not read, since its start is not known."""
        return self._chunks is not None and self._chunks.excess

    def take(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Parts of the body in `data`, and what follows the body. Raises `BadChunk`."""
        if self._chunks is not None:
            parts = self._chunks.feed(data)
            self.received += sum(map(len, parts))
            return parts, b""
        rest = b""
        if len(data) > self.left:
            data, rest = data[: int(self.left)], data[int(self.left) :]
        self.left -= len(data)
        self.received += len(data)
        return [data], rest


class NativeConnection(asyncio.Protocol):
    """One client connection; as the `Door` of its exchange it carries the answer."""

    transport: asyncio.Transport
    peer = ""
    origin = b""
    x: Exchange | None = None
    """The request that is not answered to the end."""
    buffer = b""
    """An incomplete head, or what was sent ahead."""
    fresh = True
    """No request has been answered yet."""
    blank = False
    """An empty line stood in front of the request that is awaited."""
    deadline = NEVER
    body: RequestBody | None = None
    """The body that is being read, also after its exchange is over."""
    websocket: NativeWebSocket | None = None
    """What has taken over."""
    paused = 0
    write_paused = False
    chunked_answer = False
    close_after = False
    lingering = False
    wary = False
    """The request was refused as malformed: more of it may be under way."""
    discarded = 0

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.core: Core = listener.core
        self.turn = listener.core.turn
        self.arrive = listener.core.turn.arrived.append
        self.send = listener.core.turn.depart
        self.scheme = listener.scheme

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer_ip(peer[0]) if peer else ""
        self.origin = origin_lines(self.peer.encode(), self.peer.encode(), self.scheme)
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
        # A closed and a half-closed connection look alike; both count as gone, so that nobody works for nobody.
        return False

    def data_received(self, data: bytes) -> None:
        self.arrive((self, data))
        if not self.turn.planned:
            self.turn.plan()

    def received(self, data: bytes) -> None:
        """Work off what has arrived: mostly one head that came before, and nothing else is going on."""
        if self.x is None and self.body is None and not (self.buffer or self.lingering or self.write_paused):
            runtime = self.core.runtime
            known = runtime.heads.get(data) if runtime is not None else None
            if known is not None:
                self._begin_again(known)
                return
        self._work_off(data)

    def broke(self) -> None:
        self.transport.abort()

    def _begin_again(self, known: tuple[Any, ...]) -> None:
        peer = self.peer
        self.blank = False
        self.x = x = Exchange(self, peer, peer, self.scheme, self.origin, monotonic(), *known)
        self.core.begin_again(x)

    def _work_off(self, data: bytes) -> None:
        while data:
            if self.body is not None:
                data = self._read_body(self.body, data)
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

    # -- heads

    def _read_head(self, data: bytes) -> bytes:
        """Take the head that `data` begins with; returns what follows it."""
        end = data.find(b"\r\n\r\n")
        if end <= 0:
            return self._incomplete(data) if end else self._empty_line(data)
        core, peer, head = self.core, self.peer, data[: end + 4]
        known = core.runtime.heads.get(head) if core.runtime is not None else None
        self.buffer = b""
        if known is not None:
            self._begin_again(known)
        elif head[:2] == b"\r\n":
            return self._empty_line(data)
        elif self._fits(head[:end]):
            self.x = x = Exchange(self, peer, peer, self.scheme, self.origin, monotonic(), chain=NO_CHAIN)
            core.begin_head(x, head)
        self.blank = False
        return data[end + 4 :]

    def _empty_line(self, data: bytes) -> bytes:
        """One may stand in front of a request (RFC 9112 2.2)."""
        self.buffer = b""
        if self.blank:
            self._reject(problem(400, "malformed-request", "This is not an HTTP/1.1 request.", close=True))
            return b""
        self.blank = True
        return data[2:]

    def _incomplete(self, data: bytes) -> bytes:
        if data[:2] == b"\r\n":
            return self._empty_line(data)
        if not self._fits(data):
            return b""
        ends = data.count(b"\r\n")
        bare = data.count(b"\n") != ends or data.count(b"\r") != ends + data.endswith(b"\r")
        if bare or not (b"A" <= data[:1] <= b"Z" or data == b"\r"):
            self._reject(problem(400, "malformed-request", "This is not an HTTP/1.1 request.", close=True))
            return b""
        if not self.buffer and not self.fresh:
            self.deadline = monotonic() + self.listener.limits.header_timeout
        self.buffer = data
        return b""

    def _fits(self, head: bytes) -> bool:
        limits = self.listener.limits
        if len(head) <= limits.header_line_bytes:
            return True
        first = head.find(b"\r\n")
        if (first if first >= 0 else len(head)) > limits.header_line_bytes:
            self._reject(problem(414, "target-too-long", "The request line is too long.", close=True))
            return False
        if len(head) > limits.header_bytes or max(map(len, head.split(b"\r\n"))) > limits.header_line_bytes:
            self._reject(
                problem(431, "headers-too-large", "The request's headers are too large.", close=True)
            )
            return False
        return True

    def _reject(self, response: Response) -> None:
        """The head cannot be read: nothing after it can be either."""
        peer = self.peer
        self.x = x = Exchange(self, peer, peer, self.scheme, self.origin, monotonic(), chain=NO_CHAIN)
        self.core.reject(x, response)

    def expect_body(self, x: Exchange) -> None:
        self.body = RequestBody(x)
        self.deadline = x.started + self.listener.limits.idle_timeout

    def _read_ahead(self, data: bytes) -> bytes:
        if self.websocket is not None:  # it arrived in the turn of the switch
            self.websocket.data_received(data)
            return b""
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
            self._work_off(data)

    # -- bodies

    def _read_body(self, body: RequestBody, data: bytes) -> bytes:
        """Take a part of the body; returns what follows it."""
        try:
            parts, rest = body.take(data)
        except BadChunk:
            self._broken_body()
            return b""
        x = self.x
        if x is not None and not x.finished:
            for part in parts:
                self.core.request_body(x, part)
        if body.complete:
            self._body_complete(body, x)
        elif not self.paused:
            limits, now = self.listener.limits, monotonic()
            earned = body.received / limits.body_min_rate if limits.body_min_rate else 0
            slowest = body.started + limits.body_timeout + earned
            self.deadline = min(now + limits.idle_timeout, slowest)
        return rest

    def _broken_body(self) -> None:
        x, self.body = self.x, None
        self.close_after = True
        if x is None or x.finished:
            self.transport.close()
        elif x.answered:
            self.core.client_gone(x)
            self.abort(x)
        else:
            self.core.answer(
                x, problem(400, "malformed-body", "The request body is not well-formed.", close=True)
            )

    def _body_complete(self, body: RequestBody, x: Exchange | None) -> None:
        self.body = None
        self.deadline = NEVER
        self.close_after |= body.excess
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

    def send_whole(
        self, x: Exchange, head: UpstreamHead, body: bytes, length: int | None, close: bool
    ) -> None:
        if close:
            self.close_after = self.wary = True
        last = CLOSE if self.close_after or x.close or (self.body is not None and self._overrun(x)) else b""
        try:
            self.turn.departing.append((self.transport.write, answer(x, head, length, last, body)))
        except UnsafeAnswer:
            self.abort(x)
            return
        if not self.turn.planned:
            self.turn.plan()
        if last or self.paused or self.body is not None or self.buffer or self.write_paused:
            self._done(x)
        else:
            self.x = None
            self.fresh = False
            self.deadline = self.listener.keep_until

    def send_head(self, x: Exchange, head: UpstreamHead) -> None:
        self.chunked_answer = False
        framing = b""
        if head.length is None and x.protocol == "HTTP/1.1":
            self.chunked_answer = True
            framing = b"transfer-encoding: chunked\r\n"
        elif head.length is None:
            self.close_after = True
        if self.close_after or x.close or (self.body is not None and self._overrun(x)):
            framing += CLOSE
        try:
            self.send(self.transport.write, answer(x, head, head.length, framing))
        except UnsafeAnswer:
            self.core.client_gone(x)
            self.abort(x)
            return
        if self.write_paused and x.call is not None:
            x.call.pause_reading()

    def send_informational(self, x: Exchange, status: int, headers: list[Header]) -> None:
        if x.protocol == "HTTP/1.1":
            lines = b"".join([b"%s: %s\r\n" % pair for pair in headers])
            self.send(self.transport.write, b"%s%s\r\n" % (STATUS_LINES[status], lines))

    def send_body(self, x: Exchange, data: bytes) -> None:
        self.send(self.transport.write, chunk(data) if self.chunked_answer else data)

    def send_end(self, x: Exchange) -> None:
        if self.chunked_answer:
            self.send(self.transport.write, LAST_CHUNK)
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
        if self.x is x and self.body is not None and not self.body.received:
            self.send(self.transport.write, CONTINUE)

    def switch(self, x: Exchange, headers: list[Header], relay: UpstreamRelay, early: bytes) -> None:
        ahead, self.buffer = self.buffer, b""
        if self.paused:
            self._resume(self.paused)
        self.deadline = NEVER
        try:
            websocket = NativeWebSocket(self.listener, self.transport, x, relay)
            websocket.start(headers, early, ahead, stalled=self.write_paused)
        except UnsafeAnswer:
            self.core.client_gone(x)
            relay.cancel()
            self.transport.abort()
        else:
            self.websocket = websocket
            self.listener.connections.discard(self)

    def _overrun(self, x: Exchange) -> bool:
        """The answer is there before the request's body, and the rest of that is not worth reading."""
        if self.body is not None and (x.expect_continue or self.body.left > DRAIN_BYTES):
            self.close_after = True
        return self.close_after

    def _done(self, x: Exchange) -> None:
        """The answer is out."""
        self.x = None
        self.fresh = False
        if self.paused:
            self._resume(self.paused)
        if self.close_after or x.close:
            self.close_after = True
            self._close()
        elif self.body is None:
            self._await_next()

    def _await_next(self) -> None:
        if self.close_after:
            self._close()
            return
        if not self.write_paused:
            self.deadline = self.listener.keep_until
        if self.buffer:
            asyncio.get_running_loop().call_soon(self._rest)

    def _close(self) -> None:
        """Close so that the client can read the answer although it may still be sending (RFC 9112 9.6)."""
        if self.body is None and not self.buffer and not self.fresh and not self.wary:
            self.send(_end, self.transport)
            return
        self.body = None
        self.lingering = True
        self.discarded = 0
        self.buffer = b""
        self.deadline = monotonic() + LINGER_SECONDS
        self.send(_half_close, self.transport)

    def _pause(self, reason: int) -> None:
        if not self.paused:
            self.transport.pause_reading()
            if self.body is not None:
                self.deadline = NEVER
        self.paused |= reason

    def _resume(self, reason: int) -> None:
        self.paused &= ~reason
        if not self.paused and not self.transport.is_closing():
            self.transport.resume_reading()
            if self.body is not None:
                self.deadline = monotonic() + self.listener.limits.idle_timeout

    # -- deadlines and drain, from the listener

    def timed_out(self) -> None:
        """The deadline has passed: what it was for depends on what the connection was doing."""
        self.deadline = NEVER
        x = self.x
        if x is not None and self.body is not None and not x.answered:
            self.listener.metrics.bump("body_timeouts")
            self.core.answer(x, problem(408, "body-timeout", "The request body took too long.", close=True))
        elif self.buffer and x is None and not self.lingering and not self.write_paused:
            self.listener.metrics.bump("header_timeouts")
            self._reject(problem(408, "header-timeout", "The request's head took too long.", close=True))
        elif self.lingering or self.write_paused or self.body is not None:
            self.transport.abort()
        elif x is None:
            if self.fresh:
                self.listener.metrics.bump("header_timeouts")
            self.transport.close()

    def drain(self) -> None:
        """Take no further request; close now if none is under way and none has begun to arrive."""
        self.close_after = True
        if self.x is None and not self.buffer and not self.fresh:
            self.transport.close()

    def cut(self) -> None:
        """The drain time is over."""
        self.transport.abort()


def _end(transport: asyncio.Transport) -> None:
    transport.close()


def _half_close(transport: asyncio.Transport) -> None:
    if transport.can_write_eof() and not transport.is_closing():
        transport.write_eof()
