"""One turn of the loop is worked off together: what arrived, what ended, what is to be sent.

A turn handles many connections. Read, decide, record, write for one after the other makes processor and kernel
jump between four kinds of work; all of each is measurably cheaper (`benchmarks/probe_turn.py`). Order is kept,
over all connections, and the record of an exchange is there before the end of its answer is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from proxy.exchange import Exchange

log = logging.getLogger("tidegate.turn")
Action = Callable[[Any], Any]


class Receiver(Protocol):
    """A connection or a request on which something arrived."""

    def received(self, data: bytes) -> None:
        """Work it off."""

    def broke(self) -> None:
        """That failed: end it."""


class Turn:
    """One per worker. What arrives and what is sent or closed on a connection goes through it.

    The lists are added to directly, for that is done several times per request; who adds something while the
    turn is not `planned` calls `plan`.
    """

    __slots__ = ("_broke", "_loop", "_settle", "arrived", "departing", "ended", "planned")

    def __init__(self, settle: Callable[[list[Exchange]], None], broke: Callable[[], None]) -> None:
        self._settle = settle
        self._broke = broke
        self._loop: asyncio.AbstractEventLoop | None = None
        self.planned = False
        """The loop will call `work`, or it runs."""
        self.arrived: list[tuple[Receiver, bytes]] = []
        """What came in, for when this turn's reads are done."""
        self.ended: list[Exchange] = []
        """The exchanges that are over, to be settled before anything is sent."""
        self.departing: list[tuple[Action, Any]] = []
        """Writes and ends of connections, for after all that arrived is worked off."""

    def depart(self, action: Action, argument: Any) -> None:
        """Do `action(argument)` once all that arrived is worked off."""
        self.departing.append((action, argument))
        if not self.planned:
            self.plan()

    def plan(self) -> None:
        """Have the loop call `work` when this turn's reads are done."""
        self.planned = True
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self.work)

    def work(self) -> None:
        """Work off what has gathered; the loop calls this."""
        for receiver, data in self.arrived:
            try:
                receiver.received(data)
            except Exception:
                log.exception("a connection could not be served")
                self._broke()
                receiver.broke()
        self.arrived.clear()
        self.planned = False
        if self.ended:
            ended = self.ended.copy()
            self.ended.clear()
            try:
                self._settle(ended)
            except Exception:
                log.exception("exchanges could not be settled")
                self._broke()
        for action, argument in self.departing:
            try:
                action(argument)
            except (RuntimeError, OSError):
                # The connection was lost meanwhile; its owner hears of that from `connection_lost`.
                continue
            except Exception:
                log.exception("an answer could not be sent")
                self._broke()
        self.departing.clear()
