"""The body of a request on the ASGI door: it must be as long as its head says, and keep time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proxy.exchange import Exchange, problem

if TYPE_CHECKING:
    from proxy.core import Core

NEVER = float("inf")
monotonic = time.monotonic


class RequestBody:
    """Feeds the core; `deadline` is when the next part must be here, in monotonic seconds."""

    __slots__ = ("_core", "_expected", "_started", "_x", "complete", "deadline", "received")

    def __init__(self, core: Core, x: Exchange) -> None:
        self._core = core
        self._x = x
        self._expected = x.content_length
        """As the head says; policies may change the exchange's own number."""
        self._started = monotonic()
        self.received = 0
        self.complete = False
        self.deadline = self._started + x.runtime.limits.idle_timeout

    def take(self, data: bytes, more: bool) -> None:
        """A part of it, and whether more follows."""
        if self.complete:
            return
        self.received += len(data)
        more = more and self.received != self._expected
        if self._expected is not None and (
            self.received > self._expected or (not more and self.received < self._expected)
        ):
            self._refuse()
            return
        if data:
            self._core.request_body(self._x, data)
        if more:
            self.resume()
        else:
            self.complete = True
            self.deadline = NEVER
            self._core.request_end(self._x)

    def pause(self) -> None:
        """The upstream is the slow one."""
        self.deadline = NEVER

    def resume(self) -> None:
        """The client's turn."""
        limits, now = self._x.runtime.limits, monotonic()
        earned = self.received / limits.body_min_rate if limits.body_min_rate else 0
        slowest = self._started + limits.body_timeout + earned
        self.deadline = min(now + limits.idle_timeout, slowest)

    def _refuse(self) -> None:
        """More or less than Content-Length: passed on, it would shift the upstream's next request."""
        self.deadline = NEVER
        x = self._x
        if x.finished:
            return
        if x.answered:
            x.door.abort(x)
            self._core.client_gone(x)
        else:
            detail = "The request body is not as long as Content-Length says."
            self._core.answer(x, problem(400, "malformed-body", detail, close=True))
