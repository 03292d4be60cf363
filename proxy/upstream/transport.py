"""What a transport is: the way to talk to one Instance. `http1` is ours; `http2` uses httpx.

A transport starts a call for an exchange and reports what happens to a `Listener`, which is the core.
Only the modules of this package open connections to upstreams.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from proxy.exchange import Exchange, Header, UpstreamHead
    from proxy.turn import Turn
    from proxy.upstream.pool import Instance


class Cause(enum.Enum):
    """Why a call failed; the value is the error's code for clients and records."""

    CONNECT = "upstream-unreachable"
    CONNECT_TIMEOUT = "upstream-connect-timeout"
    STALE = "upstream-connection-stale"
    """A kept connection turned out closed: no byte of an answer came."""
    BROKEN = "upstream-connection-lost"
    PROTOCOL = "upstream-protocol-error"
    TIMEOUT = "upstream-timeout"
    FULL = "upstream-busy"
    NO_INSTANCE = "no-healthy-upstream"
    UNSAFE = "unsafe-header"
    """A header from configuration or a policy holds a line break (threats T-A27)."""


class Failure:
    """A call that came to nothing. `sent` says whether any byte of the request may have gone out."""

    __slots__ = ("cause", "detail", "sent")

    def __init__(self, cause: Cause, sent: bool, detail: str = "") -> None:
        self.cause = cause
        self.sent = sent
        self.detail = detail


class Listener(Protocol):
    """The core, as transports see it. After `upstream_failed` a call says nothing more."""

    turn: Turn

    def upstream_started(self, x: Exchange) -> None:
        """The request's head is out; pending body may follow."""

    def upstream_whole(self, x: Exchange, head: UpstreamHead, body: bytes) -> None:
        """The whole answer came at once."""

    def upstream_head(self, x: Exchange, head: UpstreamHead) -> None:
        """The answer begins."""

    def upstream_informational(self, x: Exchange, status: int, headers: list[Header]) -> None:
        """A 1xx answer came."""

    def upstream_switched(
        self, x: Exchange, headers: list[Header], relay: UpstreamRelay, early: bytes
    ) -> None:
        """The upstream took the upgrade (101); `early` bytes came with it."""

    def upstream_body(self, x: Exchange, data: bytes) -> None:
        """A part of the answer's body."""

    def upstream_end(self, x: Exchange) -> None:
        """The answer is complete."""

    def upstream_failed(self, x: Exchange, failure: Failure) -> None:
        """The call came to nothing, or broke after the answer had begun."""


class RelayEnd(Protocol):
    """One side of a switched connection."""

    def relay_data(self, data: bytes) -> None:
        """The other side sent this."""

    def relay_closed(self) -> None:
        """The other side is gone."""

    def relay_pause(self) -> None:
        """The other side takes no more for now."""

    def relay_resume(self) -> None:
        """The other side takes data again."""


class UpstreamRelay(Protocol):
    """The upstream's side of a switched connection."""

    def relay_to(self, end: RelayEnd) -> None:
        """Send what comes from the upstream to `end` from now on."""

    def write(self, data: bytes) -> None:
        """Send to the upstream."""

    def pause_reading(self) -> None:
        """Read no more from the upstream for now."""

    def resume_reading(self) -> None:
        """Read again."""

    def finish(self) -> None:
        """Close once everything written is out."""

    def cancel(self) -> None:
        """Close now."""


class Transport(Protocol):
    """Starts calls at the Instances of one Upstream."""

    def connect(self, x: Exchange, instance: Instance) -> None:
        """Open a connection, counted in `pool.open` from now on, and send the request over it."""

    def sweep(self, now: float) -> None:
        """Called a few times a second: end calls past their deadline, close connections idle for too long."""
