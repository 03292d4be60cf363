"""A worker's engine and native door in this process, with upstreams that a test scripts byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from proxy.config.snapshot import Limits, Route, Snapshot, Target, Upstream
from proxy.config.store import SnapshotStore
from proxy.engine import Engine, open_engine
from proxy.node import HEALTH, SNAPSHOT, NodeDir, SharedState
from proxy.telemetry.metrics import NAMED, series
from proxy.telemetry.record import TrafficRecord
from proxy.telemetry.tail import Tail
from proxy.upstream.pool import UpstreamPool
from proxy.worker import NativeWorker
from tests.fault_proxy import reset

Handler = Callable[["Incoming"], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NAME = "service"


@dataclass
class Request:
    """One request as the upstream got it."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def get(self, name: bytes) -> bytes:
        """The value of a header, empty if it is not there."""
        return dict(self.headers).get(name, b"")


@dataclass
class Incoming:
    """One connection at a scripted upstream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int

    async def head(self) -> Request:
        """The next request's head. Raises IncompleteReadError at the connection's end."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        pairs = (line.partition(b": ") for line in lines)
        return Request(first, [(name, value) for name, _, value in pairs])

    async def request(self) -> Request:
        """The next request with its body."""
        request = await self.head()
        if request.get(b"transfer-encoding"):
            while size := int(await self.reader.readline(), 16):
                request.body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
        else:
            request.body = await self.reader.readexactly(int(request.get(b"content-length") or 0))
        return request

    async def send(self, *parts: bytes) -> None:
        """Write and flush."""
        self.writer.writelines(parts)
        await self.writer.drain()


@dataclass
class ScriptedUpstream:
    """A server whose answers are whatever bytes its handler writes."""

    handler: Handler
    port: int = 0
    connections: int = 0
    open: int = 0
    requests: list[Request] = field(default_factory=list)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    context: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> ScriptedUpstream:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, backlog=1024, ssl=self.context
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the listening socket and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.connections += 1
        self.open += 1
        try:
            await self.handler(Incoming(reader, writer, self.connections))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()

    @property
    def target(self) -> Target:
        """As the gateway is told of it."""
        return Target("127.0.0.1", self.port)


def answering(answer: bytes = OK) -> ScriptedUpstream:
    """An upstream that answers every request alike and keeps its connections."""

    async def handle(incoming: Incoming) -> None:
        while True:
            upstream.requests.append(await incoming.request())
            await incoming.send(answer)

    upstream = ScriptedUpstream(handle)
    return upstream


@dataclass
class Answer:
    """What the client got. `whole` is False if the connection broke before the answer's end."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    whole: bool = True


class Client:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(
        self, method: str, path: str, body: bytes | None = None, *lines: str, host: str = "a.test"
    ) -> None:
        """Write a request; `lines` are further headers."""
        all_lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *lines]
        if body is not None and not any(line.lower().startswith("transfer") for line in lines):
            all_lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*all_lines, "", ""]).encode() + (body or b""))

    async def read_head(self) -> tuple[int, dict[bytes, bytes]]:
        """Status and headers of the next answer."""
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        pairs = (line.partition(b": ") for line in lines)
        return int(first.split()[1]), {name: value for name, _, value in pairs}

    async def read(self, method: str = "GET") -> Answer:
        """The next answer, whole or broken."""
        status, headers = await self.read_head()
        body = bytearray()
        try:
            if method == "HEAD" or status in (204, 304):
                pass
            elif headers.get(b"transfer-encoding") == b"chunked":
                while size := int(await self.reader.readline() or b"-", 16):
                    body += await self.reader.readexactly(size)
                    await self.reader.readexactly(2)
                await self.reader.readexactly(2)
            else:
                length = int(headers[b"content-length"])
                while len(body) < length:
                    data = await self.reader.read(min(65536, length - len(body)))
                    if not data:
                        return Answer(status, headers, bytes(body), False)
                    body += data
        except (asyncio.IncompleteReadError, OSError, ValueError):
            return Answer(status, headers, bytes(body), False)
        return Answer(status, headers, bytes(body))

    def close(self) -> None:
        """Close in order."""
        self.writer.close()


class Gateway:
    """The gateway under test; one Route sends everything to the Upstream `service`."""

    def __init__(self, folder: Path, engine: Engine, port: int) -> None:
        self.engine = engine
        self.port = port
        self.state = SharedState(engine.node.state)
        self.store = SnapshotStore(engine.node)
        self.tail = Tail(engine.node.spool)

    @property
    def pool(self) -> UpstreamPool:
        """Of the Upstream in force."""
        assert self.engine.core.runtime is not None
        return self.engine.core.runtime.pools[NAME]

    @contextlib.asynccontextmanager
    async def client(self, limit: int = 2**16) -> AsyncIterator[Client]:
        """A connection to the gateway, reset in the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        try:
            yield Client(reader, writer)
        finally:
            reset(writer)

    async def ask(
        self, method: str = "GET", path: str = "/", body: bytes | None = None, *lines: str
    ) -> Answer:
        """One request on a connection of its own."""
        async with self.client() as client:
            client.send(method, path, body, *lines)
            return await asyncio.wait_for(client.read(method), 10)

    async def records(self, count: int) -> list[TrafficRecord]:
        """The next `count` records; fails if there are more."""
        found: list[TrafficRecord] = []
        await until(lambda: found.extend(self.tail.new()) or len(found) >= count, f"{count} records")
        assert len(found) == count, found
        return found

    async def record(self) -> TrafficRecord:
        """The next record."""
        return (await self.records(1))[0]

    async def publish(self, snapshot: Snapshot) -> None:
        """Put another configuration in force."""
        self.store.write(snapshot)
        self.state.numbers[SNAPSHOT] = snapshot.revision
        await until(lambda: self.engine.core.runtime.snapshot.revision == snapshot.revision, "the publish")

    def counter(self, name: str) -> int:
        """One of the worker's counters."""
        for key, cell, _ in series(self.engine.status.labels):
            if key == (NAMED, name):
                return int(self.engine.status.numbers[cell])
        return 0

    async def settled(self, *upstreams: ScriptedUpstream) -> None:
        """Nothing is under way and the pool's count is the truth: what it holds is idle and really open."""
        pool = self.pool

        def at_rest() -> bool:
            idle = sum(len(instance.idle) for instance in pool.instances)
            held = sum(len(instance.connections) for instance in pool.instances)
            live = sum(upstream.open for upstream in upstreams) if upstreams else pool.open
            return pool.open == idle == held == live and not pool.waiting and not pool.transport.tasks

        await until(at_rest, "the pool's rest", lambda: describe(pool, upstreams))
        assert all(instance.in_flight == 0 for instance in pool.instances)
        assert self.engine.core.in_flight == 0


def describe(pool: UpstreamPool, upstreams: tuple[ScriptedUpstream, ...]) -> str:
    """What the pool believes, and what the upstreams see."""
    idle = [len(instance.idle) for instance in pool.instances]
    held = [len(instance.connections) for instance in pool.instances]
    flight = [instance.in_flight for instance in pool.instances]
    seen = [upstream.open for upstream in upstreams]
    return (
        f"open {pool.open}, idle {idle}, held {held}, in flight {flight}, at the upstreams {seen}, "
        f"waiting {len(pool.waiting)}, tasks {pool.transport.tasks}"
    )


def run(scenario: Callable[[], Coroutine[Any, Any, None]], seconds: float = 30.0) -> None:
    """Run a scenario on the loop that workers run on."""

    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await scenario()

    uvloop.run(bounded())


async def still(number: Callable[[], int], what: str, seconds: float = 0.3) -> int:
    """Wait until a number has not changed for so long."""
    last, since = number(), time.monotonic()
    end = since + 15
    while time.monotonic() - since < seconds:
        await asyncio.sleep(0.02)
        if number() != last:
            last, since = number(), time.monotonic()
        assert since < end, f"{what} goes on: {last}"
    return last


async def until(
    condition: Callable[[], object], what: str, explain: Callable[[], str] = str, seconds: float = 10.0
) -> None:
    """Wait for a condition that no event tells of."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}: {explain()}"
        await asyncio.sleep(0.005)


def snapshot_of(upstream: Upstream, revision: int = 1, limits: Limits | None = None) -> Snapshot:
    """One Route for everything."""
    route = Route("all", "open", upstream=upstream.name)
    return Snapshot(revision=revision, routes=(route,), upstreams=(upstream,), limits=limits or Limits())


def service(*targets: Any, **options: Any) -> Upstream:
    """The Upstream with these Targets, or the `target` of these servers."""
    plain = tuple(one if isinstance(one, Target) else one.target for one in targets)
    return msgspec.structs.replace(Upstream(NAME, plain), **options)


def gateway_tasks() -> list[asyncio.Task[Any]]:
    """Tasks that run the gateway's code, not a test's."""
    files = [
        (task, getattr(task.get_coro(), "cr_code", run.__code__).co_filename) for task in asyncio.all_tasks()
    ]
    return [task for task, file in files if "/proxy/" in file and "/tests/" not in file]


async def report_health(gateway: Gateway, health: dict[str, bool]) -> None:
    """As the node agent does: Target label to healthy."""
    gateway.engine.node.health.write_text(json.dumps({"service": health}))
    gateway.state.numbers[HEALTH] += 1
    instances = gateway.pool.instances
    await until(
        lambda: all(one.healthy is health.get(one.label, True) for one in instances), "the news of health"
    )


@contextlib.asynccontextmanager
async def running(folder: Path, upstream: Upstream, limits: Limits | None = None) -> AsyncIterator[Gateway]:
    """A gateway for the time of the block; afterwards no request, task or socket of it is left."""
    folder.mkdir(exist_ok=True)
    node = NodeDir(folder / "node")
    SnapshotStore(node).write(snapshot_of(upstream, limits=limits))
    engine = open_engine(node.root, 0)
    await engine.start()
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sock.setblocking(False)
    worker = NativeWorker(engine)
    await worker.open(sock, None)
    await until(lambda: worker.listeners[0].keep_until > time.monotonic(), "the door's first sweep")
    gateway = Gateway(folder, engine, sock.getsockname()[1])
    try:
        yield gateway
    finally:
        for server in worker.servers:
            server.close()
        for listener in worker.listeners:
            for connection in list(listener.connections):
                connection.cut()
        await engine.stop()
        gateway.state.close()
        sock.close()
    await until(lambda: not gateway_tasks(), "the end of the gateway's tasks", lambda: str(gateway_tasks()))
