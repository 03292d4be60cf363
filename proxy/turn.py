"""What one turn of the loop brings is worked off together: first all that arrived, then all that is to be sent.

A turn handles many connections. Read, decide, write for one after the other makes processor and kernel jump
between three kinds of work; all reads, all decisions, then all writes is measurably cheaper
(`benchmarks/probe_turn.py`). Order is kept, over all connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("tidegate.turn")
Action = Callable[[Any], Any]


class Turn:
    """One per worker. What arrives and what is sent or closed on a connection goes through it."""

    __slots__ = ("_arrived", "_departing", "_loop", "_planned")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._planned = False
        self._arrived: list[tuple[Action, Any]] = []
        self._departing: list[tuple[Action, Any]] = []

    def arrive(self, action: Action, argument: Any) -> None:
        """Do `action(argument)` once this turn's reads are done."""
        if not self._planned:
            self._plan()
        self._arrived.append((action, argument))

    def depart(self, action: Action, argument: Any) -> None:
        """Do `action(argument)`, a write or the end of a connection, after all that arrived is worked off."""
        if not self._planned:
            self._plan()
        self._departing.append((action, argument))

    def _plan(self) -> None:
        self._planned = True
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self.work)

    def work(self) -> None:
        """Work off what has gathered; the loop calls this."""
        arrived, self._arrived = self._arrived, []
        for action, argument in arrived:
            try:
                action(argument)
            except Exception:
                log.exception("a connection could not be served")
                action.__self__.transport.abort()  # type: ignore[attr-defined]
        self._planned = False
        departing, self._departing = self._departing, []
        for action, argument in departing:
            try:
                action(argument)
            except (RuntimeError, OSError):
                # The connection was lost meanwhile; its owner hears of that from `connection_lost`.
                continue
