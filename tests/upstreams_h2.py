"""A real HTTP/2 server for tests, on the `h2` library: plain with prior knowledge, or TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from proxy.config.snapshot import Target

Headers = list[tuple[bytes, bytes]]


@dataclass
class Stream:
    """One request and the way to answer it."""

    server: Http2Connection
    number: int
    headers: Headers
    body: bytearray = field(default_factory=bytearray)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    reset: bool = False

    def get(self, name: bytes) -> bytes:
        """The value of a header, empty if it is not there."""
        return dict(self.headers).get(name, b"")

    def head(self, status: int, headers: Headers = (), end: bool = False) -> None:
        """Send the head of the answer."""
        self.server.h2.send_headers(self.number, [(b":status", b"%d" % status), *headers], end_stream=end)
        self.server.flush()

    async def data(self, data: bytes, end: bool = False) -> None:
        """Send body as fast as the other side takes it."""
        connection, at = self.server.h2, 0
        while at < len(data) and not self.server.gone:
            room = min(connection.local_flow_control_window(self.number), connection.max_outbound_frame_size)
            if room <= 0 or self.server.full:
                await self.server.progress()
                continue
            connection.send_data(self.number, data[at : at + room])
            self.server.sent += len(data[at : at + room])
            at += room
            self.server.flush()
        if end and not self.server.gone:
            connection.end_stream(self.number)
            self.server.flush()

    async def answer(self, status: int = 200, body: bytes = b"ok", headers: Headers = ()) -> None:
        """A whole answer with its Content-Length."""
        self.head(status, [(b"content-length", b"%d" % len(body)), *headers])
        await self.data(body, end=True)


Handler = Callable[[Stream], Awaitable[None]]


class Http2Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, owner: Http2Server) -> None:
        self.owner = owner
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding=None, validate_outbound_headers=False
            )
        )
        self.streams: dict[int, Stream] = {}
        self.gone = self.full = False
        self.sent = 0
        self._moved = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.owner.open.add(self)
        self.owner.connections += 1
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.owner.open.discard(self)
        self._moved.set()
        for stream in self.streams.values():
            stream.reset = True
            stream.arrived.set()
            stream.complete.set()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._moved.set()

    async def progress(self) -> None:
        """Until a window opened or the socket took something."""
        self._moved.clear()
        await self._moved.wait()

    def flush(self) -> None:
        """Write what is to go out."""
        if not self.gone:
            self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.flush()
            self.transport.close()
            return
        for event in events:
            self._event(event)
        self.flush()

    def _event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            stream = Stream(self, event.stream_id, cast(Headers, event.headers))
            self.streams[event.stream_id] = stream
            self.owner.requests.append(stream)
            self.owner.spawn(stream)
        elif isinstance(event, h2.events.DataReceived):
            stream = self.streams[event.stream_id]
            stream.body += event.data
            stream.arrived.set()
            if self.owner.reading:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.streams[event.stream_id].complete.set()
        elif isinstance(event, h2.events.StreamReset):
            self.streams[event.stream_id].reset = True
        elif isinstance(event, h2.events.WindowUpdated):
            self._moved.set()


class Http2Server:
    """Listens on `port`; every request goes to the handler."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self.context = context
        self.port = 0
        self.connections = 0
        self.open: set[Http2Connection] = set()
        self.requests: list[Stream] = []
        self.reading = True
        """False: the windows of request bodies are not opened again."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Http2Server:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Http2Connection(self), "127.0.0.1", 0, ssl=self.context
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self.open):
            connection.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, stream: Stream) -> None:
        """Run the handler."""
        task = asyncio.ensure_future(self.handler(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def target(self) -> Target:
        """As the gateway is told of it."""
        return Target("127.0.0.1", self.port)


def server_context(chain: str, key: str) -> ssl.SSLContext:
    """For TLS with HTTP/2 alone, from PEM files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["h2"])
    return context
