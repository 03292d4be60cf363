"""The supervisor's loop: slots, children, watchdog and signals."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.supervisor.keeper import Keeper
from proxy.supervisor.process import Command
from proxy.supervisor.slot import Drain, Slot
from proxy.telemetry.status import READY, SlotStatus, read_each

logger = logging.getLogger(__name__)

WATCH_INTERVAL = 0.5
LATER = 5.0
"""How long children that may come later wait for the workers, in seconds."""
LATE = 1.5
"""If the watchdog itself is that late (seconds), the machine was stopped or starved: nobody is to blame."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The listening sockets by port: one of each per slot. `tls` may be empty."""

    plain: Sequence[socket.socket]
    tls: Sequence[socket.socket] = ()

    def close(self) -> None:
        """Close our copies; the workers' stay open."""
        for bound in (*self.plain, *self.tls):
            bound.close()


@dataclass(slots=True)
class Plan:
    """What to supervise. `worker` is the command that `--node DIR --slot N --fd FD` is added to."""

    node: Path
    doors: Doors
    worker: tuple[str, ...]
    children: Sequence[Command] = ()
    environment: dict[str, str] = field(default_factory=dict)
    drain_timeout: Callable[[], float] = lambda: 30.0
    drain_delay: float = 0.0
    """Seconds between `on_stop` and the end of listening, for load balancers to see that we are not ready."""
    on_stop: Callable[[], None] = lambda: None
    """Called when a stop begins, before any worker is told: turns readiness off."""


class Supervisor:
    """Runs the workers and the other children until a signal says stop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder = plan.node / "workers"
        drain = Drain(plan.drain_timeout)
        self.slots = [
            Slot(number, self._worker(number), self._status, drain) for number in range(len(plan.doors.plain))
        ]
        self.keepers = [Keeper(command) for command in plan.children]
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._delaying = False
        self._roll = asyncio.Event()

    def workers(self) -> list[SlotStatus]:
        """What the present worker of each slot says of itself; slots without one are left out."""
        found = (slot.status() for slot in self.slots)
        return [status for status in found if status is not None]

    async def run(self) -> int:
        """Until SIGTERM or SIGINT has stopped everything; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._roll.set)
        try:
            await asyncio.gather(*(slot.start() for slot in self.slots))
            self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._roll_on_demand())]
            keepers = [asyncio.create_task(self._keep(keeper)) for keeper in self.keepers]
            await self._stop.wait()
            await self._shut_down(keepers)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)
        return 0

    async def wait_ready(self, timeout: float) -> bool:
        """Wait until every slot has a ready worker; False if that took longer than `timeout` seconds."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and not self._stop.is_set():
            if sum(status.state == READY for status in self.workers()) == len(self.slots):
                return True
            await asyncio.sleep(0.02)
        return False

    def _worker(self, number: int) -> Command:
        doors = self._plan.doors
        arguments = ["--node", str(self._plan.node), "--slot", str(number)]
        descriptors = [doors.plain[number].fileno()]
        arguments += ["--fd", str(descriptors[0])]
        if doors.tls:
            descriptors.append(doors.tls[number].fileno())
            arguments += ["--tls-fd", str(descriptors[1])]
        return Command(
            name=f"worker {number}",
            arguments=(*self._plan.worker, *arguments),
            environment=self._plan.environment,
            descriptors=tuple(descriptors),
        )

    def _status(self, number: int, pid: int) -> SlotStatus | None:
        said = read_each(self._folder)
        return next((status for status in said if (status.slot, status.pid) == (number, pid)), None)

    def _on_stop_signal(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            return
        if self._delaying:
            logger.info("Another signal: the drain begins now.")
            self._delaying = False
            self._hurry.set()
            return
        logger.warning("Another signal: stopping at once.")
        for slot in self.slots:
            slot.kill()
        for keeper in self.keepers:
            if keeper.process is not None:
                keeper.process.kill()

    async def _shut_down(self, keepers: list[asyncio.Task[None]]) -> None:
        self._plan.on_stop()
        await self._delay()
        for task in self._tasks:
            task.cancel()
        # Ours first: a worker's close is then the last one, and refuses what comes later.
        self._plan.doors.close()
        await asyncio.gather(*(slot.stop() for slot in self.slots))
        for task in keepers:
            task.cancel()
        await asyncio.gather(*self._tasks, *keepers, return_exceptions=True)

    async def _delay(self) -> None:
        """Serve on as if nothing was, dead workers replaced, until the delay is over or a signal ends it."""
        if not self._plan.drain_delay:
            return
        logger.info("Not ready any more; listening ends in %g s.", self._plan.drain_delay)
        self._delaying = True
        try:
            await asyncio.wait_for(self._hurry.wait(), self._plan.drain_delay)
        except TimeoutError:
            pass
        self._delaying = False

    async def _keep(self, keeper: Keeper) -> None:
        if keeper.command.later:
            await self.wait_ready(LATER)
        await keeper.run()

    async def _watch(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            now = time.monotonic()
            late, before = now - before > WATCH_INTERVAL + LATE, now
            if late:
                await asyncio.sleep(LATE)
                before = time.monotonic()
                continue
            for slot in self.slots:
                slot.check_heartbeat()

    async def _roll_on_demand(self) -> None:
        while True:
            await self._roll.wait()
            self._roll.clear()
            started = time.monotonic()
            rolled = [await slot.roll() for slot in self.slots]
            logger.info(
                "Rolled %d of %d workers in %.1f s.", sum(rolled), len(rolled), time.monotonic() - started
            )
