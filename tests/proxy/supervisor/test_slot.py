"""One slot with real workers: who is killed while a roll goes on, and who is not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from proxy.node import NodeDir
from proxy.supervisor.slot import START_LIMIT, Slot
from proxy.supervisor.sockets import listen
from proxy.supervisor.supervisor import Doors, Plan, Supervisor
from proxy.telemetry.status import READY
from tests.proxy.supervisor.stage import ROOT


def with_old_worker(node: Path, scenario: Callable[[Slot], Coroutine[None, None, None]]) -> None:
    """A slot whose worker has run for longer than a start may take."""

    async def play() -> None:
        sockets = listen("127.0.0.1", 0, "PORT", 1)
        stub = str(Path(__file__).with_name("stub_worker.py"))
        plan = Plan(
            node=NodeDir(node).root,
            doors=Doors(sockets),
            worker=(sys.executable, stub),
            environment={"PYTHONPATH": str(ROOT)},
        )
        [slot] = Supervisor(plan).slots
        await slot.start()
        try:
            while (status := slot.status()) is None or status.state != READY:
                await asyncio.sleep(0.02)
            assert slot.current is not None
            slot.current.started -= START_LIMIT + 1
            await scenario(slot)
        finally:
            await slot.stop()
            for sock in sockets:
                sock.close()

    asyncio.run(asyncio.wait_for(play(), 30))


async def roll_watched(slot: Slot) -> bool:
    """Roll while the watchdog looks all the time."""
    rolling = asyncio.create_task(slot.roll())
    while not rolling.done():
        slot.check_heartbeat()
        await asyncio.sleep(0.02)
    slot.check_heartbeat()
    return await rolling


def test_the_watchdog_leaves_a_worker_alone_that_is_rolled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(slot: Slot) -> None:
        old = slot.current
        assert old is not None
        monkeypatch.setenv("STUB_BEHAVIOUR", "slow")
        assert await roll_watched(slot)
        assert slot.current is not old
        assert await old.wait() == "exit code 0"

    with_old_worker(tmp_path, scenario)


def test_the_watchdog_leaves_a_worker_alone_that_could_not_be_rolled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(slot: Slot) -> None:
        old = slot.current
        assert old is not None
        monkeypatch.setenv("STUB_BEHAVIOUR", "late-crash")
        assert not await roll_watched(slot)
        assert slot.current is old
        assert old.running
        status = slot.status()
        assert status is not None
        assert (status.pid, status.state) == (old.pid, READY)

    with_old_worker(tmp_path, scenario)
