"""What all connections of a native listener share: limits, the cap on connections, the sweep for deadlines."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING, Protocol

from proxy.config.snapshot import Limits

if TYPE_CHECKING:
    from proxy.core import Core
    from proxy.telemetry.metrics import Metrics


_DEFAULT = Limits()


def connection_cap() -> int:
    """Half of the file descriptors this process may have: each client needs one upstream at most."""
    return max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class Served(Protocol):
    """A connection as the listener sees it, HTTP or WebSocket."""

    @property
    def deadline(self) -> float:
        """Monotonic seconds at which `timed_out` is to be called."""

    def timed_out(self) -> None:
        """The deadline has passed."""

    def drain(self) -> None:
        """The worker ends: take nothing new, close what is idle."""

    def cut(self) -> None:
        """The drain time is over."""


class Listener:
    """The connections of one worker on the native door, plain or TLS."""

    def __init__(self, core: Core, metrics: Metrics, scheme: bytes = b"http", cap: int | None = None) -> None:
        self.core = core
        self.metrics = metrics
        self.scheme = scheme
        self.cap = connection_cap() if cap is None else cap
        self.connections: set[Served] = set()
        self.draining = False
        self.limits = _DEFAULT
        """Those of the Snapshot in force, taken over with each sweep."""
        self.keep_until = float("inf")
        """Until when a connection that falls idle now is kept; close enough, set with each sweep."""
        self.emptied = asyncio.Event()

    def admit(self, connection: Served) -> bool:
        """A new connection; False if there are too many."""
        if len(self.connections) >= self.cap:
            self.metrics.bump("connections_refused")
            return False
        self.metrics.bump("connections_accepted")
        self.connections.add(connection)
        return True

    def gone(self, connection: Served) -> None:
        """A connection is closed."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self.emptied.set()

    def sweep(self, now: float) -> None:
        """End what is past its deadline; called a few times a second."""
        if self.core.runtime is not None:
            self.limits = self.core.runtime.limits
        self.keep_until = now + self.limits.keepalive_timeout
        for connection in [c for c in self.connections if c.deadline < now]:
            connection.timed_out()

    async def drain(self, seconds: float) -> None:
        """No new requests; those under way may end. What is still open after `seconds` is cut."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
        if self.connections:
            try:
                async with asyncio.timeout(seconds):
                    await self.emptied.wait()
            except TimeoutError:
                for connection in list(self.connections):
                    connection.cut()
