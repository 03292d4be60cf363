"""One worker's engine, the same behind every door: core, stores, the Snapshot in force, the clock that ticks.

A door needs `engine.core`, `await engine.start()` and `await engine.stop()`; everything else happens here,
but for `settle_collector`, which is for a process that has nothing but the engine.
The engine never imports Django and never waits for a database: what it knows comes from the node directory.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from proxy.config.store import SnapshotStore
from proxy.core import Core
from proxy.counters.open import open_store
from proxy.identity.keys import load_pepper
from proxy.identity.store import IdentityStore
from proxy.node import HEALTH, IDENTITY, SNAPSHOT, NodeDir, SharedState
from proxy.pipeline.services import Services
from proxy.recorder import Recorder
from proxy.runtime import RuntimeBuilder
from proxy.telemetry import status
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.spool import Spool
from proxy.telemetry.status import WorkerStatus
from proxy.upstream.pool import UpstreamPools

log = logging.getLogger("tidegate.engine")
TICK = 0.05
SWEEP_EVERY = 5
Sweep = Callable[[float], None]


class Engine:
    """Everything a worker process holds; `slot` names its status file and its spool segments."""

    def __init__(self, node: NodeDir, slot: int, *, name: str, redis_url: str | None = None) -> None:
        self.node = node
        self.state = SharedState(node.state)
        self.status = WorkerStatus(node.workers / f"{slot}.status")
        self.metrics = Metrics(self.status)
        self.spool = Spool(node.spool, node=name, slot=slot)
        self.counters = open_store(
            "redis" if redis_url else "shared", path=node.counters, redis_url=redis_url
        )
        self.identities = IdentityStore(node.identity, pepper=load_pepper(node.pepper), state=self.state)
        self.core = Core(Recorder(self.spool, self.metrics))
        self.pools = UpstreamPools(self.core, self.metrics)
        self.services = Services(counters=self.counters, identities=self.identities, bump=self.metrics.bump)
        self.snapshots = SnapshotStore(node)
        self.sweeps: list[Sweep] = [self.pools.sweep]
        self._counted: dict[str, int] = {}
        self._health = -1
        self._ticks = 0
        self._expected = 0.0
        self._loading: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen_revision = -1

    async def start(self) -> None:
        """Load the newest Snapshot, if there is one, and begin to tick."""
        self._loop = asyncio.get_running_loop()
        self._seen_revision = self.state.numbers[SNAPSHOT]
        await self._load()
        self._read_health()
        self._expected = self._loop.time()
        self._tick()

    def ready(self) -> None:
        """The doors are open."""
        self.status.numbers[status.STATE] = status.READY

    def draining(self) -> None:
        """The doors close."""
        self.status.numbers[status.STATE] = status.DRAINING

    async def stop(self) -> None:
        """After the last request: seal the spool, give back files and connections."""
        if self._timer is not None:
            self._timer.cancel()
        if self._loading is not None:
            self._loading.cancel()
        self.pools.close()
        self.core.turn.work()
        await self.counters.close()
        self.spool.close()
        self.identities.close()
        self.status.numbers[status.STATE] = status.STOPPED

    def _tick(self) -> None:
        """Twenty times a second: heartbeat, news from the node agent, every fifth time the deadlines."""
        loop = self._loop
        assert loop is not None
        now = loop.time()
        numbers = self.status.numbers
        lag = int((now - self._expected) * 1e6)
        if lag > numbers[status.LOOP_LAG]:
            numbers[status.LOOP_LAG] = lag
        numbers[status.GENERATION] = self.state.numbers[IDENTITY]
        numbers[status.IN_FLIGHT] = max(self.core.in_flight, 0)
        numbers[status.DROPPED] = self.spool.dropped
        self.status.beat()
        self._count("spool_dropped", self.spool.dropped)
        self._count("counter_evictions", self.counters.evictions)
        self.identities.follow()
        self._count("identity_cache_clears", self.identities.clears)
        if self.state.numbers[SNAPSHOT] != self._seen_revision and self._loading is None:
            self._seen_revision = self.state.numbers[SNAPSHOT]
            self._loading = loop.create_task(self._load())
            self._loading.add_done_callback(self._loaded)
        if self.state.numbers[HEALTH] != self._health:
            self._read_health()
        self._ticks += 1
        if self._ticks % SWEEP_EVERY == 0:
            monotonic = time.monotonic()
            for sweep in self.sweeps:
                sweep(monotonic)
        self._expected = now + TICK
        self._timer = loop.call_later(TICK, self._tick)

    def _count(self, name: str, total: int) -> None:
        """Pass on to the metrics what a part of the engine counts by itself."""
        if total != self._counted.get(name, 0):
            self.metrics.bump(name, total - self._counted.get(name, 0))
            self._counted[name] = total

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._loading = None
        if not task.cancelled() and task.exception() is not None:
            self.metrics.bump("snapshot_errors")
            log.error(
                "a published revision could not be loaded; the former one stays", exc_info=task.exception()
            )

    async def _load(self) -> None:
        """Build the Runtime of the newest Snapshot aside, then swap it in."""
        loaded = await asyncio.to_thread(self.snapshots.load_latest)
        if loaded is None or loaded.snapshot is None:
            return
        snapshot, former = loaded.snapshot, self.core.runtime
        if former is not None and former.snapshot.revision == snapshot.revision:
            return
        self.core.runtime = await RuntimeBuilder(snapshot, self.services, self.metrics, self.pools).build()
        self.status.numbers[status.REVISION] = snapshot.revision
        self.metrics.bump("snapshot_loads")
        self.pools.keep_only(set(snapshot.upstreams))
        self._read_health()
        if former is not None:
            asyncio.get_running_loop().call_later(snapshot.limits.drain_timeout, former.close)

    def _read_health(self) -> None:
        self._health = self.state.numbers[HEALTH]
        try:
            self.pools.set_health(json.loads(self.node.health.read_bytes()))
        except (OSError, ValueError):
            return


def redis_url() -> str | None:
    """Where shared counters live, if not on this node alone."""
    return os.environ.get("REDIS_URL") or None


def node_name() -> str:
    """This node's name in records: NODE_NAME, else the host's name."""
    return os.environ.get("NODE_NAME") or os.uname().nodename.partition(".")[0] or "node"


def settle_collector() -> None:
    """For a process that only serves: what is alive now stays so, the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def open_engine(directory: str | Path, slot: int) -> Engine:
    """The engine of one worker, from the environment."""
    return Engine(NodeDir(directory), slot, name=node_name(), redis_url=redis_url())
