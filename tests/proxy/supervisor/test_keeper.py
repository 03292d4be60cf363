"""A child that ends is started again; a cancelled keeper leaves nothing behind."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

import proxy.supervisor.keeper as keeper_module
from proxy.supervisor.keeper import Keeper
from proxy.supervisor.process import Command
from tests.proxy.supervisor.stage import gone


def test_a_child_that_ends_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "FIRST_PAUSE", 0.05)
    code = f"open({str(tmp_path / 'runs')!r}, 'a').write('x'); raise SystemExit(4)"
    keeper = Keeper(Command("shop", (sys.executable, "-c", code)))

    async def scene() -> None:
        task = asyncio.create_task(keeper.run())
        while keeper.restarts < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())
    assert (tmp_path / "runs").read_text().startswith("xx")
    assert "shop ended: exit code 4; started again" in caplog.text


def test_a_cancelled_keeper_stops_its_child() -> None:
    keeper = Keeper(
        Command("shop", (sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"))
    )

    async def scene() -> int:
        task = asyncio.create_task(keeper.run())
        while keeper.process is None or not keeper.process.last_line:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return keeper.process.pid

    assert gone(asyncio.run(scene()))
