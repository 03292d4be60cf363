"""Collects what is to be written within one turn of the loop and writes it together.

A turn handles many connections. Read, decide, write for one after the other makes processor and kernel jump
between three kinds of work; all reads, then all writes is measurably cheaper (`benchmarks/probe_outbox.py`).
Order is kept, over all connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Outbox:
    """One per worker. Everything that is written to or done to the end of a connection goes through it."""

    __slots__ = ("_loop", "_queue")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: list[tuple[Callable[[Any], Any], Any]] = []

    def add(self, action: Callable[[Any], Any], argument: Any) -> None:
        """Do `action(argument)` at the end of this turn."""
        if not self._queue:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._flush)
        self._queue.append((action, argument))

    def _flush(self) -> None:
        queue, self._queue = self._queue, []
        for action, argument in queue:
            try:
                action(argument)
            except (RuntimeError, OSError):
                # The connection was lost meanwhile; its owner hears of that from `connection_lost`.
                continue
