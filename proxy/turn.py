"""One turn of the loop is worked off together: what arrived, what ended, what is to be sent.

A turn handles many connections. Read, decide, record, write for one after the other makes processor and kernel
jump between four kinds of work; all of each is measurably cheaper (`benchmarks/probe_turn.py`). Order is kept,
over all connections, and the record of an exchange is there before the end of its answer is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy.exchange import Exchange

log = logging.getLogger("tidegate.turn")
Action = Callable[[Any], Any]


class Turn:
    """One per worker. What arrives and what is sent or closed on a connection goes through it."""

    __slots__ = ("_arrived", "_broke", "_departing", "_ended", "_loop", "_settle", "planned")

    def __init__(self, settle: Callable[[list[Exchange]], None], broke: Callable[[], None]) -> None:
        self._settle = settle
        self._broke = broke
        self._loop: asyncio.AbstractEventLoop | None = None
        self.planned = False
        """The loop will call `work`; who adds something while this is not so calls `plan`."""
        self._arrived: list[tuple[Action, Any]] = []
        self._ended: list[Exchange] = []
        self._departing: list[tuple[Action, Any]] = []

    def arrive(self, action: Action, argument: Any) -> None:
        """Do `action(argument)` once this turn's reads are done."""
        if not self.planned:
            self.plan()
        self._arrived.append((action, argument))

    def end(self, x: Exchange) -> None:
        """The exchange is over: have it settled before anything is sent."""
        if not self.planned:
            self.plan()
        self._ended.append(x)

    def depart(self, action: Action, argument: Any) -> None:
        """Do `action(argument)`, a write or the end of a connection, after all that arrived is worked off."""
        if not self.planned:
            self.plan()
        self._departing.append((action, argument))

    def plan(self) -> None:
        """Have the loop call `work` when this turn's reads are done."""
        self.planned = True
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
                self._broke()
                action.__self__.transport.abort()  # type: ignore[attr-defined]
        self.planned = False
        if self._ended:
            ended, self._ended = self._ended, []
            self._settle(ended)
        departing, self._departing = self._departing, []
        for action, argument in departing:
            try:
                action(argument)
            except (RuntimeError, OSError):
                # The connection was lost meanwhile; its owner hears of that from `connection_lost`.
                continue
