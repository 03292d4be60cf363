"""A worker slot: a fixed set of listening sockets, and the worker that serves them at present."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from proxy.supervisor.process import Command, Process
from proxy.telemetry.status import READY, SlotStatus

logger = logging.getLogger(__name__)

HEARTBEAT_LIMIT = 5.0
"""Seconds without a heartbeat after which a worker is taken to hang."""
START_LIMIT = 30.0
"""Seconds that a worker may take until it is ready."""
DRAIN_MARGIN = 2.0
"""Seconds beyond the drain timeout in which a worker may still write what it holds."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
_POLL = 0.05


class Drain(NamedTuple):
    """How long a worker may take to end, in seconds; read anew each time, as a publish may change it."""

    timeout: Callable[[], float]

    @property
    def patience(self) -> float:
        """What the supervisor waits before it kills."""
        return self.timeout() + DRAIN_MARGIN


class Slot:
    """Keeps one worker running on the slot's sockets and replaces it, after a death or for a roll.

    A worker that was ready is replaced at once. One that dies before it is ready is tried again after
    pauses that double from FIRST_PAUSE to LONGEST_PAUSE, each said with the reason.
    """

    def __init__(
        self, number: int, command: Command, status: Callable[[int, int], SlotStatus | None], drain: Drain
    ) -> None:
        self.number = number
        self.current: Process | None = None
        self._command = command
        self._status = status
        self._drain = drain
        self._stopping = False
        self._failures = 0
        self._draining: set[asyncio.Task[None]] = set()
        self._watches: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the slot's worker; from then on it is replaced whenever it dies."""
        self.current = await self._spawn()

    async def roll(self) -> bool:
        """Start a new worker beside the present one, and drain that once the new one is ready.

        False if the new one did not become ready: then the present one stays.
        """
        await self._join_draining()
        try:
            fresh = await self._spawn()
        except OSError as error:
            logger.error("Worker %d was not rolled: %s.", self.number, error)
            return False
        try:
            ready = await self._wait_ready(fresh)
        except asyncio.CancelledError:
            fresh.kill()
            raise
        if not ready or not fresh.running:
            logger.error("Worker %d was not rolled: the new one did not become ready.", self.number)
            fresh.kill()
            return False
        old, self.current = self.current, fresh
        if old is not None and old.running and not self._stopping:
            self._retire(old)
        return True

    def check_heartbeat(self) -> None:
        """Kill the worker if it hangs; its death then brings the next one."""
        process = self.current
        if process is None or not process.running:
            return
        status = self._status_of(process)
        if status is None or (status.state != READY and process.age < START_LIMIT):
            hangs = process.age > START_LIMIT
        else:
            hangs = status.age > HEARTBEAT_LIMIT
        if hangs:
            logger.error("Worker %d (pid %d) gives no sign of life; killed.", self.number, process.pid)
            process.kill()

    def status(self) -> SlotStatus | None:
        """What the present worker says of itself; None if there is none or it has not spoken yet."""
        return self._status_of(self.current) if self.current is not None else None

    def begin_stop(self) -> None:
        """Replace nobody any more."""
        self._stopping = True

    async def stop(self) -> None:
        """Drain the worker, and kill it if it takes too long."""
        self.begin_stop()
        if self.current is not None and self.current.running:
            self._retire(self.current)
        await self._join_draining()
        for watch in self._watches:
            watch.cancel()

    def kill(self) -> None:
        """End everything in the slot now."""
        self.begin_stop()
        for task in self._draining:
            task.cancel()
        if self.current is not None:
            self.current.kill()

    async def _spawn(self) -> Process:
        process = await Process.start(self._command)
        watch = asyncio.create_task(self._watch(process))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        return process

    async def _watch(self, process: Process) -> None:
        ready = await self._wait_ready(process)
        if ready and process is self.current:
            self._failures = 0
        how = await process.wait()
        if self._stopping or process is not self.current:
            return
        if ready:
            logger.error("Worker %d (pid %d) died: %s; replaced.", self.number, process.pid, how)
        else:
            await self._pause(process, how)
        if not self._stopping and process is self.current:
            await self._replace()

    async def _replace(self) -> None:
        while not self._stopping:
            try:
                self.current = await self._spawn()
                return
            except OSError as error:
                logger.error("Worker %d cannot be started: %s; next try in 1 s.", self.number, error)
                await asyncio.sleep(1.0)

    async def _pause(self, process: Process, how: str) -> None:
        pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 16)
        logger.error(
            "Worker %d (pid %d) died before it was ready: %s%s; next try in %.1f s.",
            *(self.number, process.pid, how),
            f" ({process.last_line})" if process.last_line else "",
            pause,
        )
        await asyncio.sleep(pause)

    async def _wait_ready(self, process: Process) -> bool:
        while process.running and process.age < START_LIMIT:
            if self._is_ready(process):
                return True
            await asyncio.sleep(_POLL)
        # It may have become ready and died between two looks.
        return self._is_ready(process)

    def _is_ready(self, process: Process) -> bool:
        status = self._status_of(process)
        return status is not None and status.state == READY

    def _status_of(self, process: Process) -> SlotStatus | None:
        # By its pid: while the slot is rolled two workers speak for it.
        return self._status(self.number, process.pid)

    def _retire(self, process: Process) -> None:
        task = asyncio.create_task(self._end(process))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def _end(self, process: Process) -> None:
        try:
            if not await process.stop(self._drain.patience):
                logger.warning("Worker %d (pid %d) did not drain in time; killed.", self.number, process.pid)
        except asyncio.CancelledError:
            process.kill()

    async def _join_draining(self) -> None:
        if self._draining:
            await asyncio.wait(self._draining)
