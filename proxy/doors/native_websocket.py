"""WebSockets at the native door: takes over a client's connection once the upstream has said 101."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxy.doors.wire import answer
from proxy.exchange import Exchange, Header, UpstreamHead
from proxy.websocket.relay import Relay, Side

if TYPE_CHECKING:
    from proxy.doors.listener import Listener
    from proxy.turn import Turn
    from proxy.upstream.transport import UpstreamRelay

SWITCHING = b"connection: upgrade\r\nupgrade: websocket\r\n"


class ClientWire:
    """The client's connection. What is written keeps its place behind what its HTTP side has written."""

    def __init__(self, transport: asyncio.Transport, turn: Turn) -> None:
        self._transport = transport
        self._turn = turn
        self.pause_reading = transport.pause_reading
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        """Send."""
        self._turn.depart(self._transport.write, data)

    def resume_reading(self) -> None:
        """Read again, unless it is closing."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def finish(self) -> None:
        """Close once everything written is out."""
        self._turn.depart(_close, self._transport)

    def half_close(self) -> None:
        """End our stream. TLS has no such thing; there the peer closes, or the deadline does."""
        self._turn.depart(_half_close, self._transport)


def _close(transport: asyncio.Transport) -> None:
    transport.close()


def _half_close(transport: asyncio.Transport) -> None:
    if transport.can_write_eof() and not transport.is_closing():
        transport.write_eof()


class UpstreamWire:
    """The upstream's connection."""

    def __init__(self, relay: UpstreamRelay) -> None:
        self.write = relay.write
        self.pause_reading = relay.pause_reading
        self.resume_reading = relay.resume_reading
        self.finish = self.half_close = relay.finish
        self.abort = relay.cancel


class UpstreamEnd:
    """What the upstream does, told to the relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def relay_data(self, data: bytes) -> None:
        """Frames from the upstream."""
        self._relay.received(self._relay.upstream, data)

    def relay_closed(self) -> None:
        """The upstream is gone."""
        self._relay.lost(self._relay.upstream)

    def relay_pause(self) -> None:
        """The upstream takes no more for now."""
        self._relay.stall(self._relay.upstream)

    def relay_resume(self) -> None:
        """The upstream takes data again."""
        self._relay.flow(self._relay.upstream)


class NativeWebSocket(asyncio.Protocol):
    """A client's connection after 101; for the listener it stands in for the HTTP connection it was."""

    def __init__(
        self, listener: Listener, transport: asyncio.Transport, x: Exchange, upstream: UpstreamRelay
    ) -> None:
        core = listener.core
        self.listener = listener
        self.x = x
        self.relay = Relay(
            ClientWire(transport, core.turn),
            UpstreamWire(upstream),
            x.runtime.limits,
            self._ended,
            lambda: core.still_stands(x),
        )
        self.side: Side = self.relay.client
        self.transport = transport
        self.upstream = upstream

    def start(self, headers: list[Header], early: bytes, ahead: bytes, *, stalled: bool) -> None:
        """Answer 101 and begin.

        `early` came from the upstream behind its own 101, `ahead` from the client behind its request;
        `stalled` says that the client takes no more at the moment. Raises `UnsafeAnswer`.
        """
        relay, x = self.relay, self.x
        head = answer(x, UpstreamHead(101, headers, None), None, SWITCHING)
        self.listener.connections.add(self)
        self.transport.set_protocol(self)
        relay.client.wire.write(head)
        self.upstream.relay_to(UpstreamEnd(relay))
        if stalled:
            relay.stall(relay.client)
        if early:
            relay.received(relay.upstream, early)
        if ahead:
            relay.received(relay.client, ahead)
        if self.listener.draining:
            relay.drain()

    @property
    def deadline(self) -> float:
        """When `timed_out` is to be called."""
        return self.relay.deadline

    def data_received(self, data: bytes) -> None:
        self.relay.received(self.side, data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.relay.lost(self.side)

    def pause_writing(self) -> None:
        self.relay.stall(self.side)

    def resume_writing(self) -> None:
        self.relay.flow(self.side)

    # -- from the listener

    def timed_out(self) -> None:
        """The deadline has passed."""
        self.relay.tick()

    def drain(self) -> None:
        """Tell both sides to go away."""
        self.relay.drain()

    def cut(self) -> None:
        """The drain time is over."""
        self.relay.cut()

    def _ended(self, bytes_in: int, bytes_out: int, state: int, code: str) -> None:
        self.listener.core.relay_ended(self.x, bytes_in, bytes_out, state, code)
        self.listener.gone(self)
