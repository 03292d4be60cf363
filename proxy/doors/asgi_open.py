"""All exchanges of an ASGI worker that wait for something: their deadlines, and their end at shutdown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.doors.asgi_http import AsgiExchange


class OpenExchanges:
    """A request is in `waiting` from when it has to wait until its answer is sent."""

    def __init__(self) -> None:
        self.waiting: set[AsgiExchange] = set()
        self.emptied: asyncio.Event | None = None
        """Who drains waits for this; the last request that leaves `waiting` sets it."""

    def sweep(self, now: float) -> None:
        """A few times a second: notice clients that went away, end what is past its deadline."""
        for exchange in list(self.waiting):
            exchange.sweep(now)

    async def drain(self, seconds: float) -> None:
        """Wait until nothing is under way; what still is after `seconds` is broken off."""
        if not self.waiting:
            return
        self.emptied = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self.emptied.wait()
        except TimeoutError:
            for exchange in list(self.waiting):
                exchange.give_up()
