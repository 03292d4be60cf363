"""The node agent as the supervisor's process holds it: synchronizer, health checks and the status port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from proxy.agent.health import HealthChecks
from proxy.agent.readiness import Readiness
from proxy.agent.server import StatusServer
from proxy.agent.source import Source
from proxy.agent.synchronizer import Synchronizer
from proxy.config.snapshot import Limits, Snapshot
from proxy.node import NodeDir, SharedState
from proxy.telemetry.prometheus import render
from proxy.telemetry.status import SlotStatus

FOLLOW_INTERVAL = 0.25


class NodeAgent:
    """Everything of the node that needs the database or looks after targets."""

    def __init__(self, name: str, node: NodeDir, connect: Callable[[SharedState], Source]) -> None:
        self._state = SharedState(node.state)
        self.synchronizer = Synchronizer(node, self._state, lambda: connect(self._state))
        self._health = HealthChecks(node, self._state)
        self._workers: Callable[[], Sequence[SlotStatus]] = list
        self.readiness = Readiness(name, self.synchronizer, lambda: self._workers(), self._health.verdicts)
        self._server = StatusServer(self.readiness, lambda: render(node.workers))
        self._following: asyncio.Task[None] | None = None

    def drain_timeout(self) -> float:
        """Seconds that the newest Snapshot gives a worker to end."""
        snapshot = self.synchronizer.snapshot
        return (snapshot.limits if snapshot is not None else Limits()).drain_timeout

    def begin_drain(self) -> None:
        """The node is not ready any more."""
        self.readiness.draining = True

    async def first_sync(self, patience: float) -> None:
        """Take up what the node directory holds, and wait up to `patience` seconds for the database."""
        self.synchronizer.load()
        self.synchronizer.start()
        await asyncio.to_thread(self.synchronizer.tried.wait, patience)

    async def serve(self, host: str, port: int, workers: Callable[[], Sequence[SlotStatus]]) -> int:
        """Open the status port and begin to probe; returns the port. Raises StartError."""
        self._workers = workers
        self._following = asyncio.create_task(self._follow())
        return await self._server.start(host, port)

    async def close(self) -> None:
        """End everything, the database thread too unless it hangs."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._server.close()
        await self._health.close()
        await asyncio.to_thread(self.synchronizer.stop)

    async def _follow(self) -> None:
        applied: Snapshot | None = None
        while True:
            snapshot = self.synchronizer.snapshot
            if snapshot is not None and snapshot is not applied:
                self._health.apply(snapshot)
                applied = snapshot
            await asyncio.sleep(FOLLOW_INTERVAL)
