"""The status port over raw sockets: pages, junk, slowness, crowds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

import proxy.agent.server as server_module
from proxy.agent.readiness import Readiness
from proxy.agent.server import StatusServer
from proxy.telemetry.status import DRAINING, READY, SlotStatus


def worker(revision: int = 5, state: int = READY, age: float = 0.1) -> SlotStatus:
    return SlotStatus(0, 123, 0.0, age, state, revision, 1, 2, 1, 0, 0)


def readiness(workers: list[SlotStatus], **changes: Any) -> Readiness:
    given = {"revision": 5, "identities_loaded": True, "connected": True, "staleness": 0.2, "problem": ""}
    synchronizer: Any = SimpleNamespace(**{**given, **changes})
    return Readiness("node-1", synchronizer, lambda: workers, dict)


def with_server(
    scene: Callable[[Callable[[bytes], Awaitable[bytes]], int], Awaitable[None]],
    state: Readiness | None = None,
) -> None:
    async def run() -> None:
        server = StatusServer(state or readiness([worker()]), lambda: b"metric 1\n")
        port = await server.start("127.0.0.1", 0)

        async def ask(data: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(data)
                async with asyncio.timeout(5):
                    return await reader.read()
            finally:
                writer.close()

        try:
            await scene(ask, port)
        finally:
            await server.close()

    asyncio.run(run())


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def status(answer: bytes) -> int:
    return int(answer.split()[1])


def test_the_pages() -> None:
    async def scene(ask: Callable[[bytes], Awaitable[bytes]], _: int) -> None:
        assert (await ask(get("/livez"))).endswith(b"\r\n\r\nok\n")
        assert (await ask(get("/metrics?x=1"))).endswith(b"\r\n\r\nmetric 1\n")
        head, _, body = (await ask(get("/readyz"))).partition(b"\r\n\r\n")
        assert b" 200 OK" in head
        document = json.loads(body)
        assert document["ready"] is True
        assert document["workers"] == [
            {
                **{"slot": 0, "pid": 123, "state": "ready", "revision": 5},
                **{"heartbeat_age": 0.1, "connections": 2, "in_flight": 1},
            }
        ]
        assert document["database"] == {"connected": True, "staleness": 0.2, "problem": ""}
        assert (await ask(get("/healthz", "HEAD"))).endswith(b"\r\n\r\n")
        assert status(await ask(get("/nothing"))) == 404

    with_server(scene)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (readiness([]), "no worker is ready with revision 5"),
        (readiness([worker(revision=4)]), "no worker is ready with revision 5"),
        (readiness([worker(state=DRAINING)]), "no worker is ready with revision 5"),
        (readiness([worker(age=10)]), "no worker is ready with revision 5"),
        (readiness([worker(0)], revision=0), "nothing is published yet"),
        (readiness([worker()], identities_loaded=False), "identities are not loaded yet"),
    ],
)
def test_when_a_node_is_not_ready(state: Readiness, reason: str) -> None:
    async def scene(ask: Callable[[bytes], Awaitable[bytes]], _: int) -> None:
        answer = await ask(get("/readyz"))
        assert status(answer) == 503
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == reason
        assert status(await ask(get("/livez"))) == 200

    with_server(scene, state)


def test_a_lost_database_does_not_make_a_node_unready() -> None:
    state = readiness([worker()], connected=False, staleness=900.0, problem="OperationalError")
    assert state.reason() == ""
    state.draining = True
    assert state.reason() == "the node is draining"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /livez\r\n\r\n", 400),
        (b"GET  /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez SPDY/3\r\n\r\n", 400),
        (b"POST /livez HTTP/1.1\r\n\r\n", 405),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /../livez HTTP/1.1\r\n\r\n", 404),
    ],
)
def test_junk_is_refused(data: bytes, code: int) -> None:
    async def scene(ask: Callable[[bytes], Awaitable[bytes]], _: int) -> None:
        assert status(await ask(data)) == code
        assert status(await ask(get("/livez"))) == 200

    with_server(scene)


def test_silence_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_SECONDS", 0.1)

    async def scene(ask: Callable[[bytes], Awaitable[bytes]], _: int) -> None:
        assert await ask(b"GET /livez HTTP/1.1\r\n") == b""

    with_server(scene)


def test_a_crowd_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 3)

    async def scene(ask: Callable[[bytes], Awaitable[bytes]], port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        try:
            assert await ask(get("/livez")) == b""
        except ConnectionError:
            pass
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.05)
        assert status(await ask(get("/livez"))) == 200

    with_server(scene)


def test_a_page_that_fails_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> int:
        def fail() -> bytes:
            raise RuntimeError("torn")

        server = StatusServer(readiness([worker()]), fail)
        port = await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/metrics"))
        answer = await reader.read()
        writer.close()
        await server.close()
        return status(answer)

    assert asyncio.run(scene()) == 500
    assert "torn" in caplog.text
