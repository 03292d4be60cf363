"""Active health checks against real targets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.agent.health import HealthChecks, Verdict
from proxy.config.snapshot import HealthCheck, Snapshot, Target, Upstream
from proxy.node import HEALTH, NodeDir, SharedState

FAST = HealthCheck(path="/healthz", interval=0.02, timeout=0.3, healthy_after=2, unhealthy_after=2)


class Stand:
    """A target that answers with `status`, or not at all if that is 0."""

    def __init__(self) -> None:
        self.status = 200
        self.heads: list[bytes] = []
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                if not self.status:
                    await asyncio.sleep(1)
                writer.write(
                    b"HTTP/1.1 %d X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % self.status
                )
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.transport.abort()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks)


def upstream(port: int, health: HealthCheck = FAST, **options: str) -> Upstream:
    return Upstream("shop", targets=(Target("127.0.0.1", port),), health=health, **options)  # type: ignore[arg-type]


def play(tmp_path: Path, scene: Callable[[HealthChecks, NodeDir, SharedState], Awaitable[None]]) -> None:
    async def run() -> None:
        node = NodeDir(tmp_path / "node")
        state = SharedState(node.state)
        checks = HealthChecks(node, state)
        try:
            async with asyncio.timeout(10):
                await scene(checks, node, state)
        finally:
            await checks.close()
            state.close()

    asyncio.run(run())


async def until(node: NodeDir, verdict: bool) -> None:
    while [*json.loads(node.health.read_bytes()).get("shop", {}).values()] != [verdict]:
        await asyncio.sleep(0.01)


def test_a_target_falls_ill_and_recovers(tmp_path: Path) -> None:
    async def scene(checks: HealthChecks, node: NodeDir, state: SharedState) -> None:
        stand = Stand()
        async with stand.open():
            checks.apply(Snapshot(upstreams=(upstream(stand.port),)))
            assert json.loads(node.health.read_bytes()) == {"shop": {f"127.0.0.1:{stand.port}": True}}
            stand.status = 500
            before = state.numbers[HEALTH]
            await until(node, False)
            assert state.numbers[HEALTH] == before + 1
            stand.status = 204
            await until(node, True)
            assert stand.heads[0].startswith(b"GET /healthz HTTP/1.1\r\n")

    play(tmp_path, scene)


@pytest.mark.parametrize("status", [0, 307, 503])
def test_what_counts_as_ill(tmp_path: Path, status: int) -> None:
    """No answer in time, a redirect that is not in the list (and is not followed), an error."""

    async def scene(checks: HealthChecks, node: NodeDir, _: SharedState) -> None:
        stand = Stand()
        stand.status = status
        async with stand.open():
            checks.apply(Snapshot(upstreams=(upstream(stand.port),)))
            await until(node, False)
            assert all(head.startswith(b"GET /healthz ") for head in stand.heads)

    play(tmp_path, scene)


def test_nobody_listening_is_ill(tmp_path: Path) -> None:
    async def scene(checks: HealthChecks, node: NodeDir, _: SharedState) -> None:
        checks.apply(Snapshot(upstreams=(upstream(1),)))
        await until(node, False)

    play(tmp_path, scene)


def test_the_environment_sends_no_probe_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def scene(checks: HealthChecks, node: NodeDir, _: SharedState) -> None:
        stand = Stand()
        async with stand.open():
            checks.apply(Snapshot(upstreams=(upstream(stand.port, host_header="shop.example"),)))
            while len(stand.heads) < 4:
                await asyncio.sleep(0.01)
            assert b"host: shop.example" in stand.heads[0].lower()
            await until(node, True)

    play(tmp_path, scene)


def test_a_new_snapshot_ends_and_keeps_probes(tmp_path: Path) -> None:
    async def scene(checks: HealthChecks, node: NodeDir, _: SharedState) -> None:
        checks.apply(Snapshot(revision=1, upstreams=(upstream(1),)))
        await until(node, False)
        checks.apply(Snapshot(revision=2, upstreams=(upstream(1),)))
        assert checks.verdicts() == {"shop": {"127.0.0.1:1": False}}
        checks.apply(Snapshot(revision=3, upstreams=(upstream(1, HealthCheck()),)))
        assert json.loads(node.health.read_bytes()) == {}

    play(tmp_path, scene)


def test_a_verdict_needs_so_many_in_a_row() -> None:
    verdict = Verdict(healthy_after=2, unhealthy_after=3)
    assert [verdict.take(good) for good in (False, False, True, False, False, False)] == [False] * 5 + [True]
    assert not verdict.healthy
    assert [verdict.take(good) for good in (True, False, True, True)] == [False, False, False, True]
    assert verdict.healthy
