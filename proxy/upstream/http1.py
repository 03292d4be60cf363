"""Our pooled HTTP/1.1 client: one connection, one call at a time, callbacks instead of tasks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from proxy.exchange import Exchange, UpstreamHead
from proxy.http.chunked import BadChunk, ChunkedBody
from proxy.upstream.heads import BODILESS, MAX_HEAD_BYTES, BadAnswer, UnsafeHeader, read_head, request_head
from proxy.upstream.outlier import own_fault
from proxy.upstream.transport import Cause, Failure, Listener, RelayEnd

if TYPE_CHECKING:
    from proxy.upstream.pool import Instance, UpstreamPool

MAX_INFORMATIONAL = 8
LARGE_READ = 64 * 1024
LAST_CHUNK = b"0\r\n\r\n"
NEVER = float("inf")
monotonic = time.monotonic


class Http1Connection(asyncio.Protocol):
    """A connection to one Instance: idle in its pool, in a call, or switched to a relay.

    As the `UpstreamCall` of its exchange it takes the request body; to the `Listener` it reports the answer.
    """

    transport: asyncio.Transport
    x: Exchange | None = None
    deadline = NEVER
    idle_since = 0.0
    calls = 0
    closed = False
    relay: RelayEnd | None = None
    buffer = b""
    """An incomplete head."""
    answer: UpstreamHead | None = None
    """The head of the answer whose body is being read."""
    chunks: ChunkedBody | None = None
    left = 0
    """Bytes of body to come; -1 if it ends with the connection."""
    informational = 0
    informed: Exchange | None = None
    """The request that the last 1xx answers were for; `informational` counts them."""
    paused = False
    chunked_request = False

    def __init__(self, pool: UpstreamPool, instance: Instance, listener: Listener) -> None:
        self.pool = pool
        self.instance = instance
        self.listener = listener
        self.turn = listener.turn
        self.arrive = listener.turn.arrived.append
        self.send = listener.turn.depart

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.instance.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.pool.connection_gone(self)
        if self.relay is not None:
            self.relay.relay_closed()
            self.relay = None
        elif self.x is not None:
            if exc is None and self.left == -1 and self.answer is not None:
                self._end(keep=False)
            else:
                fresh = self.calls == 1 or self.buffer or self.answer or self.informed is self.x
                self._fail(Cause.BROKEN if fresh else Cause.STALE)

    def eof_received(self) -> bool:
        # What arrived before may still wait for its turn: it must not bring this connection back to the pool.
        self.closed = True
        self.pool.forget(self)
        return False

    def data_received(self, data: bytes) -> None:
        if len(data) < LARGE_READ:
            self.arrive((self, data))
        else:
            # libuv would read 31 times more before this turn's work and what it says of the client's pace.
            self.transport.pause_reading()
            self.arrive((LargeRead(self), data))
        if not self.turn.planned:
            self.turn.plan()

    def received(self, data: bytes) -> None:
        """Work off what has arrived: mostly a whole answer."""
        x = self.x
        if x is None or self.answer is not None or self.buffer:
            self._outside(data)
            return
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._incomplete(data)
            return
        try:
            head = read_head(data[:end])
        except BadAnswer as error:
            self._fail(Cause.PROTOCOL, str(error))
            return
        rest = data[end + 4 :]
        if head.whole != len(rest) or x.method == b"HEAD":
            self._head(x, head, rest)
            return
        x.upstream_us = int((monotonic() - x.sent_at) * 1e6)
        if self.instance.failures:
            self.pool.outliers.answered(self.instance, head.status)
        self.x = None
        if head.keeps and x.body_done and not self.closed:
            self.pool.release(self)
        else:
            self._give_up()
        self.listener.upstream_whole(x, head, rest)

    def broke(self) -> None:
        """It could not be worked off."""
        self.transport.abort()

    def _outside(self, data: bytes) -> None:
        """Bytes that do not begin a head."""
        if self.relay is not None:
            self.relay.relay_data(data)
        elif self.x is not None:
            if self.answer is not None:
                self._body(data)
            else:
                data, self.buffer = self.buffer + data, b""
                self.received(data)
        else:
            self.pool.forget(self)
            self.transport.abort()

    def _incomplete(self, data: bytes) -> None:
        if len(data) > MAX_HEAD_BYTES or data.count(b"\n") != data.count(b"\r\n"):
            self._fail(Cause.PROTOCOL, "the answer's head is too large or malformed")
        self.buffer = data

    def pause_writing(self) -> None:
        if self.relay is not None:
            self.relay.relay_pause()
        elif self.x is not None:
            if self.answer is None:
                self.deadline = monotonic() + self.pool.config.idle_timeout
            self.x.door.pause_body(self.x)

    def resume_writing(self) -> None:
        if self.relay is not None:
            self.relay.relay_resume()
        elif self.x is not None:
            if self.answer is None and not self.x.body_ended:
                self.deadline = NEVER
            self.x.door.resume_body(self.x)

    # -- a call

    def start(self, x: Exchange) -> None:
        """Send the request of `x`; its body follows through `write_body`."""
        try:
            head = request_head(x, self.instance.host_header)
        except UnsafeHeader:
            self.pool.release(self)
            self.listener.upstream_failed(x, Failure(Cause.UNSAFE, sent=False))
            return
        self.x = x
        x.target_label = self.instance.label
        self.calls += 1
        now = x.sent_at = monotonic()
        self.deadline = now + x.route.first_byte_timeout  # type: ignore[union-attr]
        x.call = self
        self.turn.departing.append((self.transport.write, head))
        if not self.turn.planned:
            self.turn.plan()
        if x.content_length != 0:
            # While the client sends, the service owes no answer; the door keeps the client's time.
            self.deadline = NEVER
            self.chunked_request = x.content_length is None
            self.listener.upstream_started(x)

    def write_body(self, data: bytes) -> None:
        if self.chunked_request:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.send(self.transport.write, data)

    def end_body(self) -> None:
        if self.chunked_request:
            self.send(self.transport.write, LAST_CHUNK)
        if self.answer is None and self.x is not None:
            x = self.x
            now = x.sent_at = monotonic()
            self.deadline = now + x.route.first_byte_timeout  # type: ignore[union-attr]

    def pause_reading(self) -> None:
        if not self.closed:
            self.deadline = NEVER
            self.paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.closed:
            self.deadline = monotonic() + self.pool.config.idle_timeout
            self.paused = False
            self.transport.resume_reading()

    def cancel(self) -> None:
        self.relay = None
        self.x = None
        self.transport.abort()

    def close(self) -> None:
        """Close the idle connection; its place is free when that is done."""
        self.transport.close()

    def timed_out(self) -> None:
        """The deadline has passed."""
        self._fail(Cause.TIMEOUT)

    # -- the answer

    def _head(self, x: Exchange, head: UpstreamHead, rest: bytes) -> None:
        """A head whose answer is not simply all there."""
        if head.status < 200:
            self._informational(x, head, rest)
            return
        x.upstream_us = int((monotonic() - x.sent_at) * 1e6)
        if self.instance.failures or head.status >= 500:
            self.pool.outliers.answered(self.instance, head.status)
        if x.method == b"HEAD" or head.status in BODILESS:
            self._release(head.keeps and not rest)
            self.listener.upstream_whole(x, head, b"")
        elif head.length is not None and head.length <= len(rest):
            self._release(head.keeps and head.length == len(rest))
            self.listener.upstream_whole(x, head, rest[: head.length])
        else:
            self._begin_body(x, head, rest)

    def _informational(self, x: Exchange, answer: UpstreamHead, rest: bytes) -> None:
        self.informational = self.informational + 1 if self.informed is x else 1
        self.informed = x
        if answer.status == 101:
            self._switch(x, answer, rest)
        elif self.informational > MAX_INFORMATIONAL:
            self._fail(Cause.PROTOCOL, "too many 1xx answers")
        else:
            self.deadline = monotonic() + x.route.first_byte_timeout  # type: ignore[union-attr]
            self.listener.upstream_informational(x, answer.status, answer.headers)
            if rest and self.x is x:
                self.received(rest)

    def _begin_body(self, x: Exchange, answer: UpstreamHead, data: bytes) -> None:
        self.answer = answer
        if answer.chunked:
            self.chunks = ChunkedBody.of_response()
        else:
            self.left = -1 if answer.length is None else answer.length
        if answer.chunked and data.endswith(LAST_CHUNK):
            self._whole_chunks(x, answer, data)
            return
        self.deadline = monotonic() + self.pool.config.idle_timeout
        self.listener.upstream_head(x, answer)
        if data and self.x is x:
            self._body(data)

    def _whole_chunks(self, x: Exchange, answer: UpstreamHead, data: bytes) -> None:
        """A chunked answer that very likely is here to its end."""
        chunks = self.chunks
        assert chunks is not None
        try:
            body = b"".join(chunks.feed(data))
        except BadChunk as error:
            self._fail(Cause.PROTOCOL, str(error))
            return
        if chunks.complete:
            self._release(answer.keeps and not chunks.excess)
            self.listener.upstream_whole(x, answer, body)
            return
        self.deadline = monotonic() + self.pool.config.idle_timeout
        self.listener.upstream_head(x, answer)
        if self.x is x:
            self.listener.upstream_body(x, body)

    def _body(self, data: bytes) -> None:
        x, chunks, answer = self.x, self.chunks, self.answer
        assert x is not None and answer is not None
        self.deadline = monotonic() + self.pool.config.idle_timeout
        keep = answer.keeps
        if chunks is not None:
            try:
                parts = chunks.feed(data)
            except BadChunk as error:
                self._fail(Cause.PROTOCOL, str(error))
                return
            for part in parts:
                if self.x is x:
                    self.listener.upstream_body(x, part)
            complete, keep = chunks.complete, keep and not chunks.excess
        elif self.left < 0:
            self.listener.upstream_body(x, data)
            complete = False
        else:
            if len(data) > self.left:
                data, keep = data[: self.left], False
            self.left -= len(data)
            self.listener.upstream_body(x, data)
            complete = self.left == 0
        if complete and self.x is x:
            self._end(keep)

    def _end(self, keep: bool) -> None:
        x = self.x
        assert x is not None
        self._release(keep)
        self.listener.upstream_end(x)

    def _release(self, keep: bool) -> None:
        """The call is over: back to the pool if nothing speaks against it."""
        x, self.x = self.x, None
        self.deadline = NEVER
        self.answer = self.chunks = None
        if self.paused and not self.closed:
            # The client did not keep up with the last bytes: that is over, and the next call must hear.
            self.paused = False
            self.transport.resume_reading()
        if keep and x is not None and x.body_done and not self.closed:
            self.pool.release(self)
        else:
            self._give_up()

    def _give_up(self) -> None:
        """Close; not in order if the service does not read what would have to go out before."""
        if self.closed or self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _fail(self, cause: Cause, detail: str = "") -> None:
        x, self.x = self.x, None
        if x is None:
            return
        x.call = None
        self.transport.abort()
        if self.answer is None and cause is not Cause.STALE:
            self.pool.outliers.failed(self.instance, cause.value)
        self.listener.upstream_failed(x, Failure(cause, sent=True, detail=detail))

    # -- a relay, after 101

    def _switch(self, x: Exchange, answer: UpstreamHead, early: bytes) -> None:
        if not x.websocket:
            self._fail(Cause.PROTOCOL, "an upgrade that nobody asked for")
            return
        if self.instance.failures:
            self.pool.outliers.answered(self.instance, answer.status)
        self.x = None
        self.deadline = NEVER
        x.upstream_us = int((monotonic() - x.sent_at) * 1e6)
        self.listener.upstream_switched(x, answer.headers, self, early)

    def relay_to(self, end: RelayEnd) -> None:
        self.relay = end

    def write(self, data: bytes) -> None:
        self.send(self.transport.write, data)

    def finish(self) -> None:
        self.send(_close, self.transport)


class LargeRead:
    """A full read: the connection reads on once it is worked off."""

    __slots__ = ("broke", "connection")

    def __init__(self, connection: Http1Connection) -> None:
        self.connection = connection
        self.broke = connection.broke

    def received(self, data: bytes) -> None:
        """Work it off."""
        connection = self.connection
        connection.received(data)
        if not connection.paused and not connection.closed:
            connection.transport.resume_reading()


def _close(transport: asyncio.Transport) -> None:
    transport.close()


class Http1Transport:
    """Opens and reuses connections to the Instances of one Upstream."""

    def __init__(self, pool: UpstreamPool, listener: Listener, ssl: Any = None) -> None:
        self.pool = pool
        self.listener = listener
        self.ssl = ssl
        self.tasks: set[asyncio.Task[None]] = set()

    def connect(self, x: Exchange, instance: Instance) -> None:
        """Send the request on a new connection once it stands."""
        x.target_label = instance.label
        self.pool.open += 1
        task = asyncio.get_running_loop().create_task(self._connect(x, instance))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connect(self, x: Exchange, instance: Instance) -> None:
        try:
            connection = await self._open(instance)
        except (OSError, ValueError) as error:
            # ValueError: a host name that cannot be one.
            cause = Cause.CONNECT_TIMEOUT if isinstance(error, TimeoutError) else Cause.CONNECT
            self.pool.metrics.bump("upstream_connect_errors")
            if not own_fault(error):
                self.pool.outliers.failed(instance, cause.value)
            self.pool.place_free()
            if not x.finished:
                self.listener.upstream_failed(x, Failure(cause, sent=False))
            return
        self.pool.metrics.bump("upstream_connects")
        if connection.closed:
            self.pool.outliers.failed(instance, Cause.CONNECT.value)
            if not x.finished:
                self.listener.upstream_failed(x, Failure(Cause.CONNECT, sent=False))
        elif x.finished:
            self.pool.release(connection)
        else:
            connection.start(x)

    async def _open(self, instance: Instance) -> Http1Connection:
        """Raises OSError (TimeoutError among them) or ValueError."""
        pool, target = self.pool, instance.target
        async with asyncio.timeout(pool.config.connect_timeout):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Http1Connection(pool, instance, self.listener),
                target.host,
                target.port,
                ssl=self.ssl,
                server_hostname=(pool.config.tls_server_name or target.host) if self.ssl else None,
            )
        return connection

    def sweep(self, now: float) -> None:
        """End calls past their deadline and idle connections past their time."""
        for instance in self.pool.instances:
            for connection in [c for c in instance.connections if c.deadline < now and c.x is not None]:
                connection.timed_out()
        self.pool.close_idle(now - self.pool.config.keepalive_timeout)
