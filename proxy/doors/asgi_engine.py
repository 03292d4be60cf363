"""The engine of an ASGI worker process: which slot it takes, when it starts, how it ends."""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import os
from pathlib import Path

from proxy.doors.asgi_open import OpenExchanges
from proxy.doors.asgi_websocket import drain_websockets
from proxy.engine import Engine, open_engine, settle_collector
from proxy.node import NodeDir
from proxy.telemetry import status

DIRECTORY, SLOT = "TIDEGATE_NODE_DIR", "TIDEGATE_ASGI_SLOT"
FIRST_SLOT = 100
MOST_SLOTS = 256
DRAIN_SECONDS = 1.0
"""How long requests may take to end at shutdown if there is no Snapshot to say so."""


class NoFreeSlot(Exception):
    """All slots from TIDEGATE_ASGI_SLOT on belong to living processes."""


def claim_slot(node: NodeDir, first: int) -> tuple[int, int]:
    """The first slot from `first` on that no living process has, and the descriptor that holds it.

    Servers start their workers themselves and tell them no number. The lock goes with the process.
    Raises NoFreeSlot.
    """
    for slot in range(first, first + MOST_SLOTS):
        descriptor = os.open(node.workers / f"{slot}.claim", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return slot, descriptor
    raise NoFreeSlot(f"The slots {first} to {first + MOST_SLOTS - 1} are all taken.")


class EngineHolder:
    """The engine of this process, once it runs; several first requests may ask for it at once."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.exchanges = OpenExchanges()
        self._starting: asyncio.Task[Engine] | None = None
        self._claim = -1

    async def start(self) -> Engine:
        """The running engine, started if it is not. Raises what makes it impossible; then try again."""
        if self.engine is not None:
            return self.engine
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())
        try:
            return await asyncio.shield(self._starting)
        finally:
            if self._starting is not None and self._starting.done():
                self._starting = None

    async def _start(self) -> Engine:
        directory = Path(os.environ.get(DIRECTORY) or "data")
        slot, self._claim = claim_slot(NodeDir(directory), int(os.environ.get(SLOT) or FIRST_SLOT))
        try:
            engine = open_engine(directory, slot)
        except BaseException:
            os.close(self._claim)
            raise
        await engine.start()
        settle_collector()
        engine.sweeps.append(self.exchanges.sweep)
        engine.ready()
        self.engine = engine
        atexit.register(self._exit)
        return engine

    async def stop(self) -> None:
        """Let requests under way end, within the Snapshot's `drain_timeout`, then close the engine."""
        engine = self.engine
        if engine is None:
            return
        engine.draining()
        runtime = engine.core.runtime
        await self.exchanges.drain(DRAIN_SECONDS if runtime is None else runtime.limits.drain_timeout)
        await drain_websockets()
        self.engine = None
        await engine.stop()
        os.close(self._claim)

    def _exit(self) -> None:
        """The process ends and its server sent no `lifespan.shutdown`: seal the spool at least."""
        if self.engine is not None:
            self.engine.spool.close()
            self.engine.status.numbers[status.STATE] = status.STOPPED
