"""Our pooled HTTP/1.1 client: one connection, one call at a time, callbacks instead of tasks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import httptools

from proxy.exchange import Exchange, Header, UpstreamHead
from proxy.upstream.heads import BadAnswer, UnsafeHeader, read_head, request_head
from proxy.upstream.transport import Cause, Failure, Listener, RelayEnd

if TYPE_CHECKING:
    from proxy.upstream.pool import Instance, UpstreamPool

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADER_LINES = 100
MAX_INFORMATIONAL = 8
NEVER = float("inf")
monotonic = time.monotonic


class Http1Connection(asyncio.Protocol):
    """A connection to one Instance: idle in its pool, in a call, or switched to a relay.

    As the `UpstreamCall` of its exchange it takes the request body; to the `Listener` it reports the answer.
    """

    def __init__(self, pool: UpstreamPool, instance: Instance, listener: Listener) -> None:
        self.pool = pool
        self.instance = instance
        self.listener = listener
        self.x: Exchange | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.parser = httptools.HttpResponseParser(self)
        self.deadline = NEVER
        self.idle_since = 0.0
        self.calls = 0
        self.closed = False
        self.relay: RelayEnd | None = None
        self._chunked_request = False
        self._reset()

    def _reset(self) -> None:
        self.lines: list[Header] = []
        self.parts: list[bytes] = []
        self.informational: list[tuple[int, list[Header]]] | None = None
        self.informational_count = 0
        self.status = 0
        self.head_bytes = 0
        self.head_seen = False
        self.announced = False
        self.complete = False
        self.excess = False
        self.until_close = False
        self.broken = False

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.instance.connections.discard(self)
        self.pool.connection_gone(self)
        if self.relay is not None:
            self.relay.relay_closed()
            self.relay = None
        elif self.x is not None:
            if exc is None and self.until_close and self.head_seen:
                self._finish()
            else:
                self._fail(Cause.BROKEN if self.calls == 1 or self.head_bytes else Cause.STALE)

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        if self.relay is not None:
            self.relay.relay_data(data)
            return
        x = self.x
        if x is None:
            self.transport.abort()
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(x, data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._fail(Cause.PROTOCOL, str(error))
            return
        self.head_bytes += len(data)
        if self.informational:
            self._report_informational(x)
        if not self.head_seen:
            if self.head_bytes > MAX_HEAD_BYTES or len(self.lines) > MAX_HEADER_LINES:
                self._fail(Cause.PROTOCOL, "the answer's head is too large")
        elif not self.announced:
            self._announce(x)
        else:
            self._pass_on(x)

    def pause_writing(self) -> None:
        if self.relay is not None:
            self.relay.relay_pause()
        elif self.x is not None:
            self.x.door.pause_body(self.x)

    def resume_writing(self) -> None:
        if self.relay is not None:
            self.relay.relay_resume()
        elif self.x is not None:
            self.x.door.resume_body(self.x)

    # -- httptools callbacks

    def on_message_begin(self) -> None:
        if self.complete:
            self.excess = True
        else:
            self.lines = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= 200:
            if not self.complete:
                self.status = status
                self.head_seen = True
        elif status != 101:
            self.informational_count += 1
            if self.informational is None:
                self.informational = []
            if self.informational_count <= MAX_INFORMATIONAL:
                self.informational.append((status, self.lines))

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.parts.append(data)

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self.complete = True

    # -- a call

    def start(self, x: Exchange) -> None:
        """Send the request of `x`; its body follows through `write_body`."""
        instance = self.instance
        try:
            head = request_head(x, instance.host_header)
        except UnsafeHeader:
            self.x = x
            self._release()
            self.listener.upstream_failed(x, Failure(Cause.UNSAFE, sent=False))
            return
        self.x = x
        self.calls += 1
        instance.in_flight += 1
        x.target_label = instance.label
        self._chunked_request = x.content_length is None
        now = x.sent_at = monotonic()
        self.deadline = now + self.pool.first_byte_timeout
        x.call = self
        self.transport.write(head)

    def write_body(self, data: bytes) -> None:
        if self._chunked_request:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.transport.write(data)
        if not self.head_seen:
            self.deadline = monotonic() + self.pool.first_byte_timeout

    def end_body(self) -> None:
        if self._chunked_request:
            self.transport.write(b"0\r\n\r\n")

    def pause_reading(self) -> None:
        self.deadline = NEVER
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        self.deadline = monotonic() + self.pool.config.idle_timeout
        if not self.closed:
            self.transport.resume_reading()

    def cancel(self) -> None:
        self.relay = None
        if self.x is not None:
            self.instance.in_flight -= 1
            self.x = None
        self.transport.abort()

    def timed_out(self) -> None:
        """The deadline has passed."""
        self._fail(Cause.TIMEOUT)

    # -- the answer

    def _report_informational(self, x: Exchange) -> None:
        informational, self.informational = self.informational, None
        if self.informational_count > MAX_INFORMATIONAL:
            self._fail(Cause.PROTOCOL, "too many 1xx answers")
            return
        self.deadline = monotonic() + self.pool.first_byte_timeout
        for status, lines in informational or ():
            self.listener.upstream_informational(x, status, lines)

    def _announce(self, x: Exchange) -> None:
        now = monotonic()
        x.upstream_us = int((now - x.sent_at) * 1e6)
        if len(self.lines) > MAX_HEADER_LINES:
            self._fail(Cause.PROTOCOL, "too many header lines")
            return
        try:
            head, chunked = read_head(self.status, self.lines)
        except BadAnswer as error:
            self._fail(Cause.PROTOCOL, str(error))
            return
        self.announced = True
        if x.method == b"HEAD":
            self._end_without_body(x, head)
        elif self.complete:
            parts = self.parts
            body = (parts[0] if len(parts) == 1 else b"".join(parts)) if parts else b""
            self._finish_whole(x, head, body)
        else:
            self.until_close = not chunked and head.length is None
            self.deadline = now + self.pool.config.idle_timeout
            self.listener.upstream_head(x, head)
            if self.parts and self.x is x:
                self._pass_on(x)

    def _end_without_body(self, x: Exchange, head: UpstreamHead) -> None:
        # llhttp cannot be told that this answer has no body, so it is given up in mid-message.
        if self.parts:
            self.broken = True
        self.parser = httptools.HttpResponseParser(self)
        self._finish_whole(x, head, b"")

    def _finish_whole(self, x: Exchange, head: UpstreamHead, body: bytes) -> None:
        self._release()
        self.listener.upstream_whole(x, head, body)

    def _pass_on(self, x: Exchange) -> None:
        parts = self.parts
        if parts:
            self.parts = []
            self.deadline = monotonic() + self.pool.config.idle_timeout
            self.listener.upstream_body(x, parts[0] if len(parts) == 1 else b"".join(parts))
        if self.complete and self.x is x:
            self._finish()

    def _finish(self) -> None:
        x = self.x
        assert x is not None  # noqa: S101 - for the type checker: only called within a call
        self._release()
        self.listener.upstream_end(x)

    def _release(self) -> None:
        """The call is over: back to the pool if nothing speaks against it."""
        x, self.x = self.x, None
        self.instance.in_flight -= 1
        self.deadline = NEVER
        reusable = (
            x is not None
            and x.body_done
            and not self.closed
            and not self.excess
            and not self.broken
            and not self.until_close
            and self.parser.should_keep_alive()
        )
        self._reset()
        if reusable:
            self.pool.release(self)
        else:
            self.transport.close()

    def _fail(self, cause: Cause, detail: str = "") -> None:
        x, self.x = self.x, None
        if x is None:
            return
        self.instance.in_flight -= 1
        x.call = None
        self.transport.abort()
        self.listener.upstream_failed(x, Failure(cause, sent=True, detail=detail))

    # -- a relay, after 101

    def _switch(self, x: Exchange, early: bytes) -> None:
        if not x.websocket or self.parser.get_status_code() != 101:
            self._fail(Cause.PROTOCOL, "an upgrade that nobody asked for")
            return
        self.instance.in_flight -= 1
        self.x = None
        self.deadline = NEVER
        x.upstream_us = int((monotonic() - x.sent_at) * 1e6)
        self.listener.upstream_switched(x, self.lines, self, early)

    def relay_to(self, end: RelayEnd) -> None:
        self.relay = end

    def write(self, data: bytes) -> None:
        self.transport.write(data)


class Http1Transport:
    """Opens and reuses connections to the Instances of one Upstream."""

    def __init__(self, pool: UpstreamPool, listener: Listener, ssl: Any = None) -> None:
        self.pool = pool
        self.listener = listener
        self.ssl = ssl
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, x: Exchange, instance: Instance) -> None:
        """On an idle connection if there is one, else on a new one once it stands."""
        idle = instance.idle
        while idle:
            connection = idle.pop()
            if not connection.closed and not connection.transport.is_closing():
                connection.start(x)
                if x.call is connection and x.content_length != 0:
                    self.listener.upstream_started(x)
                return
        task = asyncio.get_running_loop().create_task(self._connect(x, instance))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect(self, x: Exchange, instance: Instance) -> None:
        pool, target = self.pool, instance.target
        pool.open += 1
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(pool.config.connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: Http1Connection(pool, instance, self.listener),
                    target.host,
                    target.port,
                    ssl=self.ssl,
                    server_hostname=(pool.config.tls_server_name or target.host) if self.ssl else None,
                )
        except (OSError, TimeoutError) as error:
            pool.open -= 1
            pool.metrics.bump("upstream_connect_errors")
            if not x.finished:
                cause = Cause.CONNECT_TIMEOUT if isinstance(error, TimeoutError) else Cause.CONNECT
                self.listener.upstream_failed(x, Failure(cause, sent=False))
            return
        pool.metrics.bump("upstream_connects")
        instance.connections.add(connection)
        if x.finished:
            pool.release(connection)
            return
        connection.start(x)
        if x.call is connection and x.content_length != 0:
            self.listener.upstream_started(x)

    def sweep(self, now: float) -> None:
        """End calls past their deadline and idle connections past their time."""
        oldest = now - self.pool.config.keepalive_timeout
        for instance in self.pool.instances:
            for connection in [c for c in instance.connections if c.deadline < now]:
                connection.timed_out()
            while instance.idle and instance.idle[0].idle_since < oldest:
                instance.idle.popleft().transport.close()

    def close(self) -> None:
        """Close what is idle; calls under way end by themselves."""
        for instance in self.pool.instances:
            while instance.idle:
                instance.idle.popleft().transport.close()
