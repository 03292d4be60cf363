"""Keeps the processes beside the workers running: console, HTTP/2 door, demo services."""

from __future__ import annotations

import asyncio
import logging

from proxy.supervisor.process import Command, Process

logger = logging.getLogger(__name__)

STEADY_SECONDS = 10.0
"""A child that ran this long is started again at once; a younger one after a pause that doubles."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
STOP_PATIENCE = 5.0


class Keeper:
    """One such child. The gateway goes on without it; it is started again whenever it ends."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.process: Process | None = None
        self.restarts = 0
        self._pause = FIRST_PAUSE

    async def run(self) -> None:
        """Start the child again and again, until cancelled; the child is then stopped."""
        try:
            while True:
                await self._run_once()
                self.restarts += 1
        finally:
            if self.process is not None and self.process.running:
                await self._stop(self.process)

    async def _run_once(self) -> None:
        try:
            self.process = await Process.start(self.command)
        except OSError as error:
            how, age = str(error), 0.0
        else:
            how = await self.process.wait()
            age = self.process.age
        if age >= STEADY_SECONDS:
            self._pause = FIRST_PAUSE
        logger.error("%s ended: %s; started again in %.0f s.", self.command.name, how, self._pause)
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _stop(self, process: Process) -> None:
        if not await process.stop(STOP_PATIENCE):
            logger.warning("%s did not stop in time; killed.", self.command.name)
