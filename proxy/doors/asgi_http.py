"""HTTP requests through the ASGI door: one `AsgiExchange` each, as the `Door` of its exchange.

The core calls back with an answer; the application's coroutine sends it, since only it can await. A plain
request costs one Future and no task: only where a body comes in, or an answer takes longer than a sweep, a
second coroutine listens to `receive`, for the body or for the client's going away.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from typing import TYPE_CHECKING

from proxy.core import NO_CHAIN
from proxy.doors.asgi_body import RequestBody
from proxy.doors.asgi_heads import (
    FRAMED,
    NO_BODY,
    PROTOCOLS,
    BadScope,
    answer_headers,
    framed_headers,
    hashable,
    may_hide_body,
    request_target,
    whole_head,
)
from proxy.doors.asgi_heads import protocol as protocol_of
from proxy.doors.asgi_types import Message, Receive, Scope, Send
from proxy.doors.wire import UnsafeAnswer
from proxy.exchange import Exchange, Header, UpstreamHead, problem
from proxy.http.addresses import peer_ip
from proxy.http.forwarded import origin_lines

if TYPE_CHECKING:
    from proxy.core import Core
    from proxy.doors.asgi_open import OpenExchanges
    from proxy.runtime import Head
    from proxy.upstream.transport import UpstreamRelay

log = logging.getLogger("tidegate.doors.asgi")
monotonic = time.monotonic
NEVER = float("inf")
QUEUED_BYTES = 64 * 1024
"""More of an answer than this is not held for a client that is slower than the upstream."""
LISTEN_AFTER = 0.2
"""Seconds after which a request is watched for its client's going away."""


class AsgiExchange:
    """One request of the server, from its scope to the last byte of its answer."""

    x: Exchange
    arriving = False
    """It waits for its turn to begin."""
    first: Message | None = None
    """A message of `receive` that was needed to understand the head."""
    start: Message | None = None
    """The answer's head, once there is one."""
    content: bytes | None = None
    """The whole body of an answer that came at once."""
    parts: list[bytes]
    """What of the body is to be sent, of an answer that comes in parts."""
    queued = 0
    held = False
    """The upstream was asked to pause because the client is slower."""
    ended = False
    broken = False
    """Nothing more is sent; the server closes since the answer is not complete."""
    sending_until = NEVER
    body: RequestBody | None = None
    _waiter: asyncio.Future[None] | None = None
    listener: asyncio.Task[None] | None = None
    _resumed: asyncio.Event | None = None
    _task: asyncio.Task[object] | None = None

    def __init__(self, core: Core, receive: Receive) -> None:
        self.core = core
        self.receive = receive

    # -- a head that came before is worked off with all else that arrives in this turn of the loop

    def arrive(self) -> None:
        """Begin when this turn's tasks have said what they bring."""
        turn = self.core.turn
        self.arriving = True
        turn.arrived.append((self, b""))
        if not turn.planned:
            turn.plan()

    def received(self, data: bytes) -> None:
        """Begin, unless the client has left meanwhile."""
        if self.arriving:
            self.arriving = False
            self.core.begin_again(self.x)

    def broke(self) -> None:
        """It cannot be served."""
        self.gone()

    # -- the application's coroutine

    async def stream(self, send: Send) -> None:
        """Send an answer that comes in parts."""
        assert self.start is not None
        self._task = asyncio.current_task()
        await send(self.start)
        if not self.parts and not self.ended:
            # Some servers keep the head back until a part of the body comes.
            await send({"type": "http.response.body", "body": b"", "more_body": True})
        while not self.broken:
            if not self.parts and not self.ended:
                await self.wait()
                continue
            data, more = b"".join(self.parts), not self.ended
            self.parts.clear()
            self._release()
            self.sending_until = monotonic() + self.x.runtime.limits.idle_timeout
            await send({"type": "http.response.body", "body": data, "more_body": more})
            self.sending_until = NEVER
            if not more:
                return

    def wait(self) -> asyncio.Future[None]:
        """Done when there is something to send."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _release(self) -> None:
        self.queued = 0
        if self.held:
            self.held = False
            if self.x.call is not None:
                self.x.call.resume_reading()

    # -- the listening coroutine

    def listen(self) -> None:
        """Read from the client from now on."""
        if self.listener is None:
            self.listener = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        try:
            while not self.x.finished:
                if self._resumed is not None:
                    await self._resumed.wait()
                message, self.first = self.first or await self.receive(), None
                if message["type"] == "http.disconnect":
                    self.gone()
                    return
                if self.body is not None:
                    self.body.take(message.get("body", b""), message.get("more_body", False))
        except Exception:
            log.exception("a request could not be read, request %s", self.x.request_id.decode())
            self.gone()

    def gone(self) -> None:
        """The client is not there any more."""
        self.arriving = False
        self.core.client_gone(self.x)
        self.broken = True
        self._wake()

    def leave(self) -> None:
        """The coroutine of the application ends, and there is something to be ended with it."""
        listener, self.listener = self.listener, None
        if listener is not None and not listener.done():
            listener.cancel()
        if not self.x.finished:
            self.arriving = False
            self.core.client_gone(self.x)

    # -- the Door of the exchange

    def send_whole(
        self, x: Exchange, head: UpstreamHead, body: bytes, length: int | None, close: bool
    ) -> None:
        if self._begin(x, head, length):
            if close and x.protocol not in FRAMED:
                assert self.start is not None
                self.start["headers"].append((b"connection", b"close"))
            self.content = body
            self._wake()

    def send_head(self, x: Exchange, head: UpstreamHead) -> None:
        self.parts = []
        if self._begin(x, head, head.length):
            self._wake()
        else:
            self.core.client_gone(x)

    def _begin(self, x: Exchange, head: UpstreamHead, length: int | None) -> bool:
        try:
            headers = answer_headers(x, head, length)
        except UnsafeAnswer:
            self.abort(x)
            return False
        self.start = {"type": "http.response.start", "status": head.status, "headers": headers}
        return True

    def send_informational(self, x: Exchange, status: int, headers: list[Header]) -> None:
        """ASGI servers cannot send it; 103 is only ever a hint."""

    def send_body(self, x: Exchange, data: bytes) -> None:
        self.parts.append(data)
        self.queued += len(data)
        if self.queued > QUEUED_BYTES and not self.held and x.call is not None:
            self.held = True
            x.call.pause_reading()
        self._wake()

    def send_end(self, x: Exchange) -> None:
        self.ended = True
        self._wake()

    def abort(self, x: Exchange) -> None:
        self.broken = True
        self._wake()

    def switch(self, x: Exchange, headers: list[Header], relay: UpstreamRelay, early: bytes) -> None:
        """Servers that know WebSockets give them a scope of their own; this one passed on the header only."""
        relay.cancel()
        self.gone()

    def expect_body(self, x: Exchange) -> None:
        self.body = RequestBody(self.core, x)
        if not x.expect_continue:
            self.listen()

    def continue_body(self, x: Exchange) -> None:
        # The server says `100 Continue` when it is asked for the body.
        self.listen()

    def pause_body(self, x: Exchange) -> None:
        if self._resumed is None and self.body is not None:
            self._resumed = asyncio.Event()
            self.body.pause()

    def resume_body(self, x: Exchange) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.set()
            if self.body is not None:
                self.body.resume()

    # -- deadlines, from the sweep

    def sweep(self, now: float) -> None:
        """A few times a second while the answer is not sent."""
        x = self.x
        if self.sending_until < now:
            self.give_up()
        elif self.body is not None and self.body.deadline < now and not x.answered:
            self.core.recorder.bump("body_timeouts")
            self.core.answer(x, problem(408, "body-timeout", "The request body took too long.", close=True))
        elif self.listener is None and now - x.started > LISTEN_AFTER and not x.expect_continue:
            self.listen()

    def give_up(self) -> None:
        """The client takes nothing any more, or the process ends."""
        self.gone()
        if self._task is not None:
            self._task.cancel()


async def serve(core: Core, exchanges: OpenExchanges, scope: Scope, receive: Receive, send: Send) -> None:
    """One HTTP request."""
    exchange = AsgiExchange(core, receive)
    head, client = whole_head(scope), scope.get("client")
    sender = _sender(client[0] if client else "", scope["scheme"])
    heads = core.runtime.heads if core.runtime is not None else {}
    try:
        known = heads.get(head)
    except TypeError:
        head = hashable(head)
        known = heads.get(head)
    if known is None:
        x = exchange.x = Exchange(exchange, *sender, monotonic(), chain=NO_CHAIN)
    else:
        x = exchange.x = Exchange(exchange, *sender, monotonic(), *known)
    try:
        if known is None:
            await _begin(exchange, x, scope, head)
        else:
            x.protocol = PROTOCOLS[scope["http_version"]]
            exchange.arrive()
        exchanges.waiting.add(exchange)
        if exchange.start is None and not exchange.broken:
            await exchange.wait()
        # Returning without the end of an answer is how ASGI breaks it off.
        if exchange.start is not None and not exchange.broken:
            if exchange.content is None:
                await exchange.stream(send)
            else:
                await send(exchange.start)
                await send({"type": "http.response.body", "body": exchange.content})
    except Exception:
        # The server's `send` may fail with anything when the client is gone; ours is in the log.
        log.debug("an answer could not be sent, request %s", x.request_id.decode(), exc_info=True)
    finally:
        exchanges.waiting.discard(exchange)
        if exchanges.emptied is not None and not exchanges.waiting:
            exchanges.emptied.set()
        if exchange.listener is not None or not x.finished:
            exchange.leave()
        # Without this each request would be a cycle that only the collector takes apart, thousands at a time.
        x.door = None  # type: ignore[assignment]


@functools.lru_cache(maxsize=4096)
def _sender(peer: str, scheme: str) -> tuple[str, str, bytes, bytes]:
    """Peer, client, scheme and origin lines of an exchange."""
    peer = peer_ip(peer)
    address, name = peer.encode(), b"https" if scheme == "https" else b"http"
    return peer, peer, name, origin_lines(address, address, name)


async def _begin(exchange: AsgiExchange, x: Exchange, scope: Scope, head: Head) -> None:
    """A request whose head is not remembered."""
    core = exchange.core
    try:
        x.protocol = protocol_of(scope)
        headers = scope["headers"]
        if x.protocol in FRAMED:
            headers = framed_headers(scope, await _hidden_body(exchange, scope))
            if scope["method"] not in NO_BODY:
                head = b""
        core.begin(x, scope["method"].encode("latin-1"), request_target(scope), headers, head)
    except BadScope as error:
        core.reject(x, problem(400, "malformed-request", str(error), close=True))
    except Exception:
        log.exception("a request could not be handled, request %s", x.request_id.decode())
        if not x.finished:
            core.answer(x, problem(500, "internal-error", "The gateway failed.", close=True))


async def _hidden_body(exchange: AsgiExchange, scope: Scope) -> bytes | None:
    """The body that no header announces, None if more than its beginning is still to come."""
    if not may_hide_body(scope):
        return b""
    if scope["method"] in ("POST", "PUT", "PATCH"):
        return None
    message = exchange.first = await exchange.receive()
    return None if message.get("more_body", False) else message.get("body", b"")
