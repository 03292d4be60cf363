"""A service for tests to put behind a gateway: real sockets, exact bytes, answers under the test's control.

```python
with Service() as service:                       # a thread of its own, on 127.0.0.1:service.port
    service.on("/raw", answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))
    gate = service.gate()
    service.on("/sse", stream([b"data: 1\n\n", gate, b"data: 2\n\n"]))
    ...
    seen = service.last("/raw")                  # head and body as they came in, byte for byte
    gate.open()                                  # lets the second event out
```

A path that nothing is said about is answered by `echo`: JSON with method, target, headers in order, and the
length and SHA-256 of the body. A handler is `async def handler(call)`; it runs once the head is here, so that
it can answer before the body has come, refuse to read it, or break off.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any

BODY_KEPT = 1 << 20
Handler = Callable[["Call"], Awaitable[None]]


class Gate:
    """Something that a handler waits for and the test lets happen."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def open(self) -> None:
        """Let the handler go on; callable from any thread."""
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """For handlers."""
        await self._event.wait()


class Call:
    """One request as it came in. `raw` is its exact bytes so far, head and body with their framing."""

    def __init__(self, connection: Connection, head: bytes) -> None:
        self.connection = connection
        self.raw = bytearray(head)
        self.head = head
        lines = head[:-4].split(b"\r\n")
        self.line = lines[0]
        self.method, self.target, self.version = lines[0].split(b" ")
        self.path = self.target.partition(b"?")[0]
        pairs = (line.partition(b": ") for line in lines[1:])
        self.headers: list[tuple[bytes, bytes]] = [(name, value) for name, _, value in pairs]
        self.length = 0
        """Body bytes that have come, without framing."""
        self.body = bytearray()
        """The body's first megabyte."""
        self._hash = hashlib.sha256()
        self.complete = threading.Event()
        """The whole request is here."""
        self.gone = threading.Event()
        """The gateway closed the connection before the handler was done."""
        self.started = threading.Event()
        """The handler runs."""

    def get(self, name: bytes) -> bytes | None:
        """The one value of a header in any case; None if there is none."""
        values = self.values(name)
        assert len(values) < 2, f"{name!r} came {len(values)} times"
        return values[0] if values else None

    def values(self, name: bytes) -> list[bytes]:
        """The values of all lines of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def sha256(self) -> str:
        """Digest of the body."""
        return self._hash.hexdigest()

    async def read_body(self, delay: float = 0.0) -> None:
        """Read the body to its end; with `delay` seconds of rest before each piece."""
        if self.get(b"transfer-encoding") == b"chunked":
            await self._read_chunks(delay)
        else:
            left = int(self.get(b"content-length") or 0)
            while left:
                if delay:
                    await asyncio.sleep(delay)
                left -= self._take(await self.connection.some(min(left, 1 << 16)))
        self.complete.set()

    async def _read_chunks(self, delay: float) -> None:
        while True:
            line = await self.connection.until(b"\r\n")
            self.raw += line
            size = int(line.partition(b";")[0], 16)
            left = size
            while left:
                if delay:
                    await asyncio.sleep(delay)
                left -= self._take(await self.connection.some(min(left, 1 << 16)))
            self.raw += await self.connection.until(b"\r\n")
            if size == 0:
                return

    def _take(self, data: bytes) -> int:
        self.length += len(data)
        self._hash.update(data)
        if len(self.body) < BODY_KEPT:
            self.body += data
            self.raw += data
        return len(data)

    async def write(self, data: bytes) -> None:
        """Send, and wait while the gateway takes no more."""
        self.connection.transport.write(data)
        await self.connection.drained.wait()

    def close(self) -> None:
        """End the connection after what was written."""
        self.connection.transport.close()

    def abort(self) -> None:
        """Break the connection now."""
        self.connection.transport.abort()


class Connection(asyncio.Protocol):
    """One connection from the gateway."""

    transport: asyncio.Transport

    def __init__(self, service: Service) -> None:
        self.service = service
        self.buffer = bytearray()
        self.more = asyncio.Event()
        self.drained = asyncio.Event()
        self.drained.set()
        self.lost = False
        self.call: Call | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.service.connections.append(self)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.more.set()
        if len(self.buffer) > 1 << 18:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.more.set()
        self.drained.set()
        if self.call is not None:
            self.call.gone.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.drained.clear()

    def resume_writing(self) -> None:
        self.drained.set()

    async def until(self, mark: bytes) -> bytes:
        """Bytes up to and with `mark`."""
        while (end := self.buffer.find(mark)) < 0:
            await self._more()
        return self._pop(end + len(mark))

    async def some(self, most: int) -> bytes:
        """Between one and `most` bytes."""
        while not self.buffer:
            await self._more()
        return self._pop(min(most, len(self.buffer)))

    async def _more(self) -> None:
        self.more.clear()
        self.transport.resume_reading()
        await self.more.wait()
        if self.lost:
            raise ConnectionResetError

    def _pop(self, count: int) -> bytes:
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    async def _serve(self) -> None:
        try:
            while not self.lost:
                call = self.call = Call(self, await self.until(b"\r\n\r\n"))
                self.service.calls.append(call)
                call.started.set()
                await self.service.handler(call.path)(call)
                self.call = None
                if not call.complete.is_set() and not self.transport.is_closing():
                    await call.read_body()
        except ConnectionResetError:
            pass
        except Exception:
            self.transport.abort()
            raise


class Service:
    """The service: a context manager. `calls` are all requests so far, `connections` all connections."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.connections: list[Connection] = []
        self.port = 0
        self._handlers: dict[bytes, Handler] = {}
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Service:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def on(self, path: str, handler: Handler) -> None:
        """Answer this path (without query) like that from now on."""
        self._handlers[path.encode()] = handler

    def gate(self) -> Gate:
        """A gate for a handler to wait at."""
        return Gate(self._loop)

    def handler(self, path: bytes) -> Handler:
        """Who answers a path."""
        return self._handlers.get(path, echo)

    def of(self, path: str) -> list[Call]:
        """All calls of a path so far."""
        return [call for call in self.calls if call.path == path.encode()]

    def last(self, path: str, seconds: float = 10.0) -> Call:
        """The newest call of a path, once its request is complete."""
        call = self.of(path)[-1]
        assert call.complete.wait(seconds), f"{call.line!r} is not complete"
        return call

    def forget(self) -> None:
        """Begin anew: no calls."""
        self.calls.clear()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stopped = asyncio.Event()
        server = await self._loop.create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopped.wait()
        server.close()
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for connection in self.connections:
            connection.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


async def echo(call: Call) -> None:
    """What was received, as JSON: method, target, version, headers in order, the body's length and sha256."""
    await call.read_body()
    document: dict[str, Any] = {
        "method": call.method.decode("latin-1"),
        "target": call.target.decode("latin-1"),
        "version": call.version.decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in call.headers],
        "length": call.length,
        "sha256": call.sha256,
        "body": bytes(call.body[:1024]).decode("latin-1"),
    }
    body = json.dumps(document).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    await call.write(head if call.method == b"HEAD" else head + body)


def answer(raw: bytes, *, close: bool = False) -> Handler:
    """These bytes, once the request is complete; then perhaps the end of the connection."""

    async def handler(call: Call) -> None:
        await call.read_body()
        await call.write(raw)
        if close:
            call.close()

    return handler


def early(raw: bytes) -> Handler:
    """These bytes as soon as the head is here; the body is read afterwards."""

    async def handler(call: Call) -> None:
        await call.write(raw)

    return handler


def stream(parts: Iterable[bytes | Gate | float], content_type: bytes = b"text/event-stream") -> Handler:
    """A chunked answer: each part a chunk of its own, after waiting at gates or for seconds."""
    script = list(parts)

    async def handler(call: Call) -> None:
        await call.read_body()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % content_type
        await call.write(head)
        for part in script:
            if isinstance(part, Gate):
                await part.wait()
            elif isinstance(part, float):
                await asyncio.sleep(part)
            else:
                await call.write(b"%x\r\n%b\r\n" % (len(part), part))
        await call.write(b"0\r\n\r\n")

    return handler


def flood(size: int, *, chunked: bool = False, piece: int = 1 << 16) -> Handler:
    """An answer of `size` bytes, of which byte i is i mod 251."""
    unit = bytes(range(251)) * (piece // 251 + 2)

    async def handler(call: Call) -> None:
        await call.read_body()
        framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % size
        await call.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n%b\r\n\r\n" % framing)
        sent = 0
        while sent < size:
            start = sent % 251
            part = unit[start : start + min(piece, size - sent)]
            sent += len(part)
            await call.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        if chunked:
            await call.write(b"0\r\n\r\n")

    return handler


def pattern(size: int) -> bytes:
    """The body that `flood` sends."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def cut(raw: bytes) -> Handler:
    """These bytes, then the connection breaks."""

    async def handler(call: Call) -> None:
        await call.read_body()
        await call.write(raw)
        call.close()

    return handler


def hang(gate: Gate | None = None) -> Handler:
    """No answer until the gate opens (then `echo`), or for ever."""

    async def handler(call: Call) -> None:
        await call.read_body()
        if gate is None:
            await asyncio.Event().wait()
        else:
            await gate.wait()
        call.complete.clear()
        await call.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfreed")
        call.complete.set()

    return handler


def slow_reader(delay: float) -> Handler:
    """Reads the body in pieces with rests between them, then answers as `echo`."""

    async def handler(call: Call) -> None:
        await call.read_body(delay)
        await call.write(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%d" % (len(str(call.length)), call.length)
        )

    return handler
