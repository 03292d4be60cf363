"""HTTP/2 towards upstreams, on httpx: `h2` over TLS and `h2c` with prior knowledge (RFC 9113 3.3).

Each connection carries one call at a time. In httpcore 1.0 the streams of a connection share more than the
protocol asks of them: a call that is given up is not reset on the wire and keeps its part of the connection's
flow-control window, and so does an answer that its client does not read. A slow or vanished client would so
stop the calls of all others. With a connection for each call, closing it resets exactly that call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import h2.errors
import h2.events
import httpx

from proxy.exchange import Exchange, Header
from proxy.http.lines import valid_header
from proxy.upstream.heads import BadAnswer, UnsafeHeader, read_head, request_head
from proxy.upstream.outlier import own_fault
from proxy.upstream.tls import http2_context
from proxy.upstream.transport import Cause, Failure, Listener

if TYPE_CHECKING:
    import ssl

    from proxy.exchange import UpstreamHead
    from proxy.upstream.pool import Instance, UpstreamPool

log = logging.getLogger("tidegate.upstream")
BODY_AHEAD = 64 * 1024
"""Request body that waits for the upstream before the client is asked to pause."""
MAX_HEAD_BYTES = 64 * 1024
NEVER = float("inf")
monotonic = time.monotonic
_CAUSES: tuple[tuple[type[Exception], Cause], ...] = (
    (httpx.ConnectTimeout, Cause.CONNECT_TIMEOUT),
    (httpx.ConnectError, Cause.CONNECT),
    (httpx.NetworkError, Cause.BROKEN),
    (httpx.StreamConsumed, Cause.BROKEN),
)


class _RequestBody(httpx.AsyncByteStream):
    """The request body as httpx takes it: it asks for the first part when the head is out."""

    def __init__(self, connection: Http2Connection, x: Exchange) -> None:
        self.connection = connection
        self.x = x

    async def __aiter__(self) -> AsyncIterator[bytes]:
        connection, x = self.connection, self.x
        if x.call is not None or x.finished:
            # httpx goes to a new connection by itself after a GOAWAY; a body cannot be sent twice.
            raise httpx.StreamConsumed
        x.call = connection
        connection.listener.upstream_started(x)
        while True:
            while connection.parts:
                data = connection.parts.popleft()
                connection.waiting_bytes -= len(data)
                yield data
                if connection.waiting_bytes <= BODY_AHEAD // 2 and connection.x is x:
                    x.door.resume_body(x)
            if connection.body_ended:
                connection.await_answer(x)
                return
            connection.deadline = NEVER
            connection.more.clear()
            await connection.more.wait()
            connection.deadline = monotonic() + connection.pool.config.idle_timeout


class Http2Connection:
    """A connection to one Instance, idle in its pool or in a call; then it is the `UpstreamCall` too."""

    def __init__(self, transport: Http2Transport, instance: Instance) -> None:
        self.owner = transport
        self.pool = transport.pool
        self.listener = transport.listener
        self.instance = instance
        self.client = transport.open_client()
        self.x: Exchange | None = None
        self.task: asyncio.Task[None] | None = None
        self.deadline = NEVER
        self.idle_since = 0.0
        self._answering = False
        self.calls = 0
        self.closed = False
        self.sent = False
        """The present call's head may have gone out."""
        self.parts: deque[bytes] = deque()
        self.waiting_bytes = 0
        self.body_ended = False
        self.more = asyncio.Event()
        self.readable = asyncio.Event()
        """The client takes the answer."""
        self._stream: Any = None
        self._whole: UpstreamHead | None = None
        """The head of an answer that has no body."""

    # -- a call

    def start(self, x: Exchange) -> None:
        """Send the request of `x`, over a new connection if this one has ended meanwhile."""
        if self._stale():
            self.close()
            self.owner.connect(x, self.instance)
            return
        try:
            request = self._request(x)
        except UnsafeHeader:
            self.pool.release(self)
            self.listener.upstream_failed(x, Failure(Cause.UNSAFE, sent=False))
            return
        self.x = x
        x.target_label = self.instance.label
        self.calls += 1
        self.sent = self.body_ended = self._answering = False
        self.parts.clear()
        self.waiting_bytes = 0
        self.readable.set()
        self.deadline = NEVER
        if x.content_length == 0:
            x.call = self
        self.task = self.owner.spawn(self._run(x, request))

    def _stale(self) -> bool:
        """Something came while nobody asked: the connection's end, or a GOAWAY."""
        return self._stream is not None and bool(self._stream.get_extra_info("is_readable"))

    def _request(self, x: Exchange) -> httpx.Request:
        """The same head as over HTTP/1.1, in httpx's terms. Raises `UnsafeHeader`."""
        line, *lines = request_head(x, self.instance.host_header).split(b"\r\n")[:-2]
        method, target, _ = line.split(b" ")
        config = self.pool.config
        extensions = {
            "target": target,
            "timeout": {"connect": config.connect_timeout},
            "sni_hostname": config.tls_server_name or self.instance.target.host,
            "trace": self._trace,
        }
        headers: list[Header] = []
        for name, _, value in (line.partition(b": ") for line in lines):
            headers.append((name, value))
        stream = _RequestBody(self, x) if x.content_length != 0 else httpx.ByteStream(b"")
        url = self.owner.url(self.instance)
        return httpx.Request(method.decode(), url, headers=headers, stream=stream, extensions=extensions)

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "http2.send_request_headers.started":
            self.sent = True
            if self.x is not None:
                self.await_answer(self.x)
        elif event == "connection.connect_tcp.complete":
            self.pool.metrics.bump("upstream_connects")
        elif event.startswith("connection.") and event.endswith(".failed"):
            self.pool.metrics.bump("upstream_connect_errors")

    def await_answer(self, x: Exchange) -> None:
        """All that was to be sent is: the time of the first byte runs."""
        now = x.sent_at = monotonic()
        self.deadline = now + x.route.first_byte_timeout  # type: ignore[union-attr]

    async def _run(self, x: Exchange, request: httpx.Request) -> None:
        try:
            response = await self.client.handle_async_request(request)
            try:
                await self._answer(x, response)
            finally:
                await response.aclose()
        except BadAnswer as error:
            self._fail(Cause.PROTOCOL, str(error))
        except asyncio.CancelledError:
            self._drop_call()
            raise
        except Exception as error:
            self._broke(error)
        else:
            self._complete(x)

    def _broke(self, error: Exception) -> None:
        event = getattr(error.__cause__, "args", (None,))[0]
        if (
            isinstance(event, h2.events.StreamReset)
            and event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
        ):
            self.sent = False  # RFC 9113 8.7: nothing of it was processed.
        cause = _cause(error, event)
        if cause is Cause.BROKEN and self.calls > 1 and not self._answering:
            cause = Cause.STALE
        self._fail(cause, str(error), blame=not own_fault(error))

    # -- the answer

    async def _answer(self, x: Exchange, response: httpx.Response) -> None:
        self._stream = response.extensions.get("network_stream")
        head = answer_head(response.status_code, response.headers.raw)
        self._answering = True
        if self.instance.failures or head.status >= 500:
            self.pool.outliers.answered(self.instance, head.status)
        x.upstream_us = int((monotonic() - x.sent_at) * 1e6)
        idle = self.pool.config.idle_timeout
        self.deadline = monotonic() + idle
        self._whole = head if x.method == b"HEAD" or head.status in (204, 304) or head.length == 0 else None
        if self._whole is None:
            self.listener.upstream_head(x, head)
        async for data in response.stream:  # type: ignore[union-attr]
            if self.x is not x:
                return
            if data and self._whole is None:
                self.listener.upstream_body(x, data)
            if not self.readable.is_set():
                await self.readable.wait()
            self.deadline = monotonic() + idle

    def _complete(self, x: Exchange) -> None:
        if self.x is not x:
            self.close()
            return
        self.x = None
        self.deadline = NEVER
        if x.body_done:
            self.pool.release(self)
        else:
            self.close()
        if self._whole is None:
            self.listener.upstream_end(x)
        else:
            self.listener.upstream_whole(x, self._whole, b"")

    def _fail(self, cause: Cause, detail: str = "", blame: bool = True) -> None:
        x, sent = self.x, self.sent
        if x is not None and blame and not self._answering and cause is not Cause.STALE:
            self.pool.outliers.failed(self.instance, cause.value)
        self._drop_call()
        if x is not None:
            x.call = None
            self.listener.upstream_failed(x, Failure(cause, sent=sent, detail=detail))

    def _drop_call(self) -> None:
        if self.x is not None:
            self.x = None
        self.close()

    def timed_out(self) -> None:
        """The deadline has passed."""
        task = self.task
        self._fail(Cause.TIMEOUT)
        if task is not None:
            task.cancel()

    # -- the UpstreamCall

    def write_body(self, data: bytes) -> None:
        self.parts.append(data)
        self.waiting_bytes += len(data)
        self.more.set()
        if self.waiting_bytes > BODY_AHEAD and self.x is not None:
            self.x.door.pause_body(self.x)

    def end_body(self) -> None:
        self.body_ended = True
        self.more.set()

    def pause_reading(self) -> None:
        self.deadline = NEVER
        self.readable.clear()

    def resume_reading(self) -> None:
        self.deadline = monotonic() + self.pool.config.idle_timeout
        self.readable.set()

    def cancel(self) -> None:
        self._drop_call()
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()

    def close(self) -> None:
        """Give the connection up; its place in the pool is free at once."""
        if not self.closed:
            self.closed = True
            self.deadline = NEVER
            self.owner.spawn(self._close())
            self.pool.connection_gone(self)

    async def _close(self) -> None:
        try:
            await self.client.aclose()
        except Exception as error:
            log.debug("closing a connection to %s: %s", self.instance.label, error)


class Http2Transport:
    """Opens and reuses connections to the Instances of one Upstream."""

    def __init__(self, pool: UpstreamPool, listener: Listener) -> None:
        self.pool = pool
        self.listener = listener
        self.context: ssl.SSLContext | None = None
        if pool.config.protocol == "h2":
            self.context = http2_context(pool.config)
        self.tasks: set[asyncio.Task[None]] = set()

    def open_client(self) -> httpx.AsyncHTTPTransport:
        """httpx without proxies from the environment, redirects, cookies and headers of its own."""
        limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
        verify = self.context if self.context is not None else False
        return httpx.AsyncHTTPTransport(
            verify=verify, trust_env=False, http1=False, http2=True, limits=limits
        )

    def url(self, instance: Instance) -> str:
        """Where the Instance is; the path goes separately, as it is."""
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://{instance.target.label}/"

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        """Run in a task that is not forgotten."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def connect(self, x: Exchange, instance: Instance) -> None:
        """Send the request on a new connection."""
        x.target_label = instance.label
        if x.websocket:
            failure = Failure(Cause.PROTOCOL, sent=False, detail="no WebSocket over HTTP/2")
            self.listener.upstream_failed(x, failure)
            return
        self.pool.open += 1
        connection = Http2Connection(self, instance)
        instance.connections.add(connection)
        connection.start(x)

    def sweep(self, now: float) -> None:
        """End calls past their deadline or without a client, and idle connections past their time."""
        for instance in self.pool.instances:
            for connection in list(instance.connections):
                if connection.deadline < now:
                    connection.timed_out()
                elif connection.x is not None and connection.x.finished:
                    connection.cancel()
        self.pool.close_idle(now - self.pool.config.keepalive_timeout)


def _cause(error: Exception, event: object) -> Cause:
    for kind, cause in _CAUSES:
        if isinstance(error, kind):
            return cause
    lost = isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated)
    if lost or (isinstance(error, httpx.RemoteProtocolError) and "disconnected" in str(error)):
        return Cause.BROKEN
    return Cause.PROTOCOL


def answer_head(status: int, headers: list[Header]) -> UpstreamHead:
    """The head of an answer under the same rules as over HTTP/1.1. Raises `BadAnswer`."""
    if not 200 <= status <= 599 or not all(valid_header(name, value) for name, value in headers):
        raise BadAnswer("a malformed status or header")
    lines = [b"%b: %b" % pair for pair in headers]
    if sum(map(len, lines)) > MAX_HEAD_BYTES:
        raise BadAnswer("the answer's head is too large")
    answer = read_head(b"\r\n".join([b"HTTP/1.1 %d " % status, *lines]))
    if answer.chunked:
        raise BadAnswer("a Transfer-Encoding over HTTP/2")
    return answer
