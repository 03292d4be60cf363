"""WebSockets through the ASGI door: the handshake runs through the same pipeline, then messages are carried.

The server in front speaks WebSocket with the client, pings it and closes it at its own shutdown; the gateway
speaks WebSocket with the upstream.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import time
from typing import TYPE_CHECKING

from proxy.core import NO_CHAIN
from proxy.doors.asgi_heads import BadScope, answer_headers, request_target
from proxy.doors.asgi_types import Message, Receive, Scope, Send
from proxy.doors.wire import UnsafeAnswer
from proxy.exchange import Exchange, Header, UpstreamHead, problem
from proxy.http.addresses import peer_ip
from proxy.http.forwarded import origin_lines
from proxy.telemetry.record import CLIENT_ABORT, KILLED, OK, REJECTED, TIMEOUT, UPSTREAM_ERROR
from proxy.websocket.frames import GOING_AWAY, INTERNAL_ERROR, NO_CODE, POLICY_VIOLATION, TOO_LARGE
from proxy.websocket.messages import UpstreamMessages
from proxy.websocket.relay import CLOSE_SECONDS, RECHECK_SECONDS

if TYPE_CHECKING:
    from proxy.engine import Engine
    from proxy.upstream.transport import UpstreamRelay

QUEUED_BYTES = 64 * 1024
"""More than this is not held for a client that is slower than the upstream."""
LET_GO_SECONDS = 0.5
"""How long a server may take to end a `receive` that is cancelled."""
_OWN = frozenset(
    b"connection upgrade sec-websocket-key sec-websocket-version sec-websocket-accept "
    b"sec-websocket-extensions sec-websocket-protocol".split()
)
_SERVERS = _OWN | {b"content-length", b"date", b"transfer-encoding"}
Farewell = tuple[int, str]
"""Close code and reason."""
monotonic = time.monotonic


class ClientStalled(OSError):
    """The client has not read for too long: there is no use in sending it a Close frame."""


_open: set[AsgiWebSocket] = set()


async def websocket(engine: Engine, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket."""
    one = AsgiWebSocket(engine, scope, receive, send)
    _open.add(one)
    try:
        await one.run()
    finally:
        _open.discard(one)
        one.over.set()


async def drain_websockets() -> None:
    """The worker ends: tell all sides to go away, and wait for their answers as long as always."""
    for one in list(_open):
        one.leave.set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS + LET_GO_SECONDS):
            while _open:
                await next(iter(_open)).over.wait()


class AsgiWebSocket:
    """One WebSocket; as the `Door` of its exchange it takes the answer to the handshake."""

    def __init__(self, engine: Engine, scope: Scope, receive: Receive, send: Send) -> None:
        self._core = engine.core
        self._scope = scope
        self._receive = receive
        self._send = send
        self._outbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._queued = 0
        self._held = False
        self._sending = 0.0
        self._relay: UpstreamRelay | None = None
        self._upstream: UpstreamMessages | None = None
        self._changed = asyncio.Event()
        self.leave = asyncio.Event()
        self.over = asyncio.Event()
        self._bytes_in = self._bytes_out = 0
        self._state, self._code = OK, ""
        peer = peer_ip((scope.get("client") or ("",))[0])
        scheme = b"https" if scope.get("scheme") == "wss" else b"http"
        origin = origin_lines(peer.encode(), peer.encode(), scheme)
        self.x = Exchange(self, peer, peer, scheme, origin, monotonic(), chain=NO_CHAIN)

    async def run(self) -> None:
        """From the handshake to the end."""
        await self._receive()
        x = self.x
        try:
            self._begin(x)
            message = await self._outbox.get()
            if message is not None and message["type"] == "websocket.accept":
                await self._accepted(message)
            else:
                await self._deny(message)
        except OSError:
            pass  # the server says so that the client is gone
        finally:
            self._end()

    def _begin(self, x: Exchange) -> None:
        try:
            target = request_target(self._scope)
        except BadScope as error:
            self._core.reject(x, problem(400, "malformed-request", str(error), close=True))
        else:
            self._core.begin(x, b"GET", target, handshake_headers(self._scope), b"")

    def _end(self) -> None:
        """Account for it, whatever the end was."""
        relay, self._relay = self._relay, None
        if relay is None:
            self._core.client_gone(self.x)
            return
        self._account()
        relay.cancel()

    def _account(self) -> None:
        """The client's side is over; a second call changes nothing."""
        self._core.relay_ended(self.x, self._bytes_in, self._bytes_out, self._state, self._code)

    # -- refused, by the gateway or by the upstream

    async def _deny(self, message: Message | None) -> None:
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": 1000})
            message = None
        while message is not None:
            await self._send(message)
            if message["type"] == "websocket.http.response.body" and not message["more_body"]:
                return
            message = await self._outbox.get()

    def _put(self, message: Message | None, size: int = 0) -> None:
        self._outbox.put_nowait(message)
        self._queued += size

    # -- the Door of the exchange

    def send_whole(
        self, x: Exchange, head: UpstreamHead, body: bytes, length: int | None, close: bool
    ) -> None:
        self.send_head(x, head)
        self._put({"type": "websocket.http.response.body", "body": body, "more_body": False})

    def send_head(self, x: Exchange, head: UpstreamHead) -> None:
        headers = self._headers(x, head)
        if headers is not None:
            self._put({"type": "websocket.http.response.start", "status": head.status, "headers": headers})

    def _headers(self, x: Exchange, head: UpstreamHead) -> list[Header] | None:
        """The headers that go out, None if one is unsafe and there is no answer."""
        try:
            headers = answer_headers(x, head, None)
        except UnsafeAnswer:
            self._core.client_gone(x)
            self.abort(x)
            return None
        return [pair for pair in headers if pair[0] not in _SERVERS]

    def send_body(self, x: Exchange, data: bytes) -> None:
        self._put({"type": "websocket.http.response.body", "body": data, "more_body": True}, len(data))
        if self._queued > x.runtime.limits.buffer_bytes:
            self.abort(x)

    def send_end(self, x: Exchange) -> None:
        self._put({"type": "websocket.http.response.body", "body": b"", "more_body": False})

    def send_informational(self, x: Exchange, status: int, headers: list[Header]) -> None:
        """There is no way to pass it on."""

    def abort(self, x: Exchange) -> None:
        self._put(None)

    def expect_body(self, x: Exchange) -> None:
        """A handshake has none."""

    pause_body = resume_body = continue_body = expect_body

    def switch(self, x: Exchange, headers: list[Header], relay: UpstreamRelay, early: bytes) -> None:
        head = UpstreamHead(101, headers, None)
        protocol = head.get(b"sec-websocket-protocol")
        subprotocol = None if protocol is None else protocol.decode("latin-1")
        kept = self._headers(x, head)
        if kept is None:
            relay.cancel()
            return
        self._put({"type": "websocket.accept", "subprotocol": subprotocol, "headers": kept})
        self._relay = relay
        limit = x.runtime.limits.websocket_message_bytes
        self._upstream = upstream = UpstreamMessages(relay, limit, self._arrived, self._news)
        relay.relay_to(upstream)
        if early:
            upstream.relay_data(early)

    # -- open

    async def _accepted(self, accept: Message) -> None:
        relay, upstream = self._relay, self._upstream
        assert relay is not None and upstream is not None
        await self._send(accept)
        tasks = [
            asyncio.create_task(self._from_client(upstream)),
            asyncio.create_task(self._to_client(relay, upstream)),
            asyncio.create_task(self._watch(upstream)),
            asyncio.create_task(self._leave()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._note(KILLED, "drain-timeout")
            raise
        finally:
            for task in tasks:
                task.cancel()
            # granian sends no Close while somebody waits in `receive`, and at its end lets nobody out of there.
            await asyncio.wait(tasks, timeout=LET_GO_SECONDS)
        await self._close(upstream, done)

    async def _close(self, upstream: UpstreamMessages, done: set[asyncio.Task[Farewell | None]]) -> None:
        """Tell both sides; the first of the tasks has ended."""
        try:
            farewell = next((found for task in done if (found := task.result()) is not None), None)
        except OSError:
            self._note(CLIENT_ABORT, "client-gone")
            upstream.close(GOING_AWAY)
            farewell = None
        if farewell is not None:
            code, reason = farewell
            upstream.close(code, reason)
            self._account()
            await self._say_close({"type": "websocket.close", "code": code, "reason": reason})
        self._account()
        await self._close_upstream(upstream)

    async def _say_close(self, message: Message) -> None:
        sending = asyncio.ensure_future(self._send(message))
        await asyncio.wait([sending], timeout=CLOSE_SECONDS)
        if sending.done() and not sending.cancelled():
            sending.exception()  # the client may be gone, which is as good
        else:
            sending.cancel()

    def _note(self, state: int, code: str) -> None:
        """The first reason is the one that is recorded."""
        if not self._code:
            self._state, self._code = state, code

    async def _from_client(self, upstream: UpstreamMessages) -> Farewell | None:
        limit = self.x.runtime.limits.websocket_message_bytes
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                self._client_closed(upstream, message)
                return None
            text = message.get("text")
            content: str | bytes = (message.get("bytes") or b"") if text is None else text
            size = len(content) if text is None or text.isascii() else len(text.encode())
            self._bytes_in += size
            if size > limit:
                self._note(REJECTED, "websocket-message-too-large")
                return TOO_LARGE, f"messages may have {limit} bytes at most"
            upstream.send(content)
            while upstream.stalled and not upstream.over:
                self._changed.clear()
                await self._changed.wait()

    def _client_closed(self, upstream: UpstreamMessages, message: Message) -> None:
        code = message.get("code", NO_CODE)
        # uvicorn says 1005 of a connection that was lost too, but then gives no reason.
        if code == 1006 or (code == NO_CODE and "reason" not in message):
            self._note(CLIENT_ABORT, "client-gone")
            code = GOING_AWAY
        upstream.close(code, message.get("reason") or "")

    def _news(self) -> None:
        """The upstream takes data again, or is over: whoever waits looks what it is."""
        self._changed.set()
        self._outbox.put_nowait(None)

    def _arrived(self, content: str | bytes) -> None:
        """A message from the upstream."""
        key = "text" if isinstance(content, str) else "bytes"
        size = len(content)
        self._put({"type": "websocket.send", key: content}, size)
        if self._queued > QUEUED_BYTES and self._relay is not None:
            self._held = True
            self._relay.pause_reading()

    async def _to_client(self, relay: UpstreamRelay, upstream: UpstreamMessages) -> Farewell:
        while True:
            message = await self._outbox.get()
            if message is None:
                if upstream.over:
                    return self._upstream_closed(upstream)
                continue
            content: str | bytes = message.get("text") or message.get("bytes") or b""
            size = len(content)
            self._sending = monotonic()
            await self._send(message)
            self._sending = 0.0
            self._queued -= size
            self._bytes_out += len(content.encode()) if isinstance(content, str) else size
            if self._held and self._queued <= QUEUED_BYTES and not upstream.gone:
                self._held = False
                relay.resume_reading()

    def _upstream_closed(self, upstream: UpstreamMessages) -> Farewell:
        if upstream.violation == TOO_LARGE:
            self._note(UPSTREAM_ERROR, "websocket-message-too-large")
        elif upstream.violation:
            self._note(UPSTREAM_ERROR, "websocket-protocol-error")
        elif not upstream.said_close:
            self._note(UPSTREAM_ERROR, "upstream-connection-lost")
        return upstream.farewell

    async def _close_upstream(self, upstream: UpstreamMessages) -> None:
        """Wait for the answer to our Close frame, but not for long."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while upstream.closed_by_us and not upstream.over:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return

    async def _watch(self, upstream: UpstreamMessages) -> Farewell:
        """Ping the upstream, see that the client reads and its Credential holds; ends where one fails."""
        limits = self.x.runtime.limits
        checked = monotonic()
        pause = max(0.05, min(RECHECK_SECONDS, (limits.websocket_ping_interval or RECHECK_SECONDS) / 4))
        pause = min(pause, limits.websocket_ping_timeout / 2)
        while True:
            await asyncio.sleep(pause)
            now = monotonic()
            if self._sending and now - self._sending > limits.idle_timeout:
                self._note(TIMEOUT, "client-stalled")
                raise ClientStalled
            if now - checked >= RECHECK_SECONDS:
                checked = now
                if not self._core.still_stands(self.x):
                    self._note(REJECTED, "credential-revoked")
                    return POLICY_VIOLATION, "the credential no longer holds"
            if not self._alive(upstream, now):
                stalled = "stalled" if upstream.stalled else "ping-timeout"
                self._note(TIMEOUT, f"upstream-{stalled}")
                return INTERNAL_ERROR, "the upstream does not answer"

    async def _leave(self) -> Farewell:
        await self.leave.wait()
        self._note(OK, "draining")
        return GOING_AWAY, "the gateway restarts"

    def _alive(self, upstream: UpstreamMessages, now: float) -> bool:
        limits = self.x.runtime.limits
        if not limits.websocket_ping_interval or self._held or upstream.over:
            return True
        if upstream.stalled:
            return now - upstream.stalled < limits.idle_timeout
        if upstream.pinged:
            return now - upstream.pinged < limits.websocket_ping_timeout
        if now - upstream.heard >= limits.websocket_ping_interval:
            upstream.ping()
        return True


def handshake_headers(scope: Scope) -> list[Header]:
    """The headers of the handshake with the upstream: the client's, with a key of our own.

    The server in front has answered the client's key; in HTTP/2 there is none (RFC 8441 5.1).
    """
    headers: list[Header] = [(name, value) for name, value in scope["headers"] if name not in _OWN]
    headers += [
        (b"connection", b"upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", base64.b64encode(os.urandom(16))),
    ]
    offered = [value for name, value in scope["headers"] if name == b"sec-websocket-protocol"]
    if not offered and scope.get("subprotocols"):
        offered = [", ".join(scope["subprotocols"]).encode("latin-1", "replace")]
    return headers + [(b"sec-websocket-protocol", value) for value in offered]
