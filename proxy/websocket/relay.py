"""Carries a WebSocket between two sides, byte for byte, and keeps its rules.

No socket and no clock in here: a door feeds what came, calls `tick` when `deadline` is past, and gives each
side as a `Wire`. The gateway's own frames (pings, Close) go between two frames of the stream that passes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

from proxy.config.snapshot import Limits
from proxy.telemetry.record import CLIENT_ABORT, KILLED, OK, REJECTED, TIMEOUT, UPSTREAM_ERROR
from proxy.websocket.frames import (
    GOING_AWAY,
    INTERNAL_ERROR,
    PING,
    POLICY_VIOLATION,
    TOO_LARGE,
    FrameStream,
    close_frame,
    control_frame,
)

NEVER = float("inf")
CLOSE_SECONDS = 3.0
"""How long a side has to answer a Close frame before its connection is broken off."""
RECHECK_SECONDS = 10.0
"""How often it is looked whether the caller's Credential still holds."""
monotonic = time.monotonic


class Wire(Protocol):
    """The connection to one side. Nothing is written after `finish` or `half_close`."""

    def write(self, data: bytes) -> None:
        """Send."""

    def pause_reading(self) -> None:
        """Read no more for now."""

    def resume_reading(self) -> None:
        """Read again."""

    def finish(self) -> None:
        """Close once everything written is out."""

    def half_close(self) -> None:
        """Send everything, then the end of the stream; what still comes is read and dropped."""

    def abort(self) -> None:
        """Close now."""


class Side:
    """One peer: its connection, the frames that come from it, and how far closing has come."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "closing",
        "finished",
        "frames",
        "gone",
        "heard",
        "other",
        "pinged",
        "sent_close",
        "stalled",
        "waiting",
        "wire",
    )
    other: Side

    def __init__(self, wire: Wire, frames: FrameStream, now: float) -> None:
        self.wire = wire
        self.frames = frames
        self.waiting: list[bytes] = []
        """Frames of the gateway's own for this peer that wait for the end of the frame that passes."""
        self.heard = now
        self.pinged = 0.0
        """When the ping went out that was not answered yet; 0 if there is none."""
        self.stalled = 0.0
        """Since when this peer takes no more; 0 if it does."""
        self.closing = False
        """The last of `waiting` is a Close frame."""
        self.sent_close = False
        """A Close frame went to this peer: nothing may follow it."""
        self.finished = False
        """We have closed our end."""
        self.gone = False
        self.bytes_in = 0
        self.bytes_out = 0
        frames.own_ping = b"tg" + os.urandom(6)

    def send(self, data: bytes) -> None:
        """Pass on bytes of the other side's stream."""
        if not (self.sent_close or self.gone or self.finished):
            self.bytes_out += len(data)
            self.wire.write(data)

    def insert(self, frame: bytes, *, last: bool = False) -> None:
        """Send a frame of the gateway's own as soon as no other frame is half sent."""
        if self.closing or self.sent_close:
            return
        self.waiting.append(frame)
        self.closing = last
        self.flush()

    def flush(self) -> None:
        """Send what waits, if this is the moment."""
        if self.other.frames.left:
            return
        waiting, self.waiting = self.waiting, []
        for frame in waiting:
            self.send(frame)
        if self.closing:
            self.sent_close = True

    @property
    def masked(self) -> bool:
        """Frames for this peer must be masked: it is a server."""
        return not self.frames.masked


class Relay:
    """A WebSocket in the gateway. `ended(bytes_in, bytes_out, state, code)` is called once, in the end.

    `standing` says whether the caller would still be let in; it is asked now and then.
    """

    def __init__(
        self,
        client: Wire,
        upstream: Wire,
        limits: Limits,
        ended: Callable[[int, int, int, str], None],
        standing: Callable[[], bool] = lambda: True,
    ) -> None:
        now = monotonic()
        size = limits.websocket_message_bytes
        self.limits = limits
        self.client = Side(client, FrameStream(masked=True, limit=size), now)
        self.upstream = Side(upstream, FrameStream(masked=False, limit=size), now)
        self.client.other, self.upstream.other = self.upstream, self.client
        self.deadline = now
        """When `tick` wants to be called."""
        self.state = OK
        self.code = ""
        self._closing_since = 0.0
        self._ended: Callable[[int, int, int, str], None] | None = ended
        self._standing = standing
        self._checked = now
        self._schedule(now)

    @property
    def over(self) -> bool:
        """Both connections are closed and it is accounted for."""
        return self._ended is None

    # -- what happens on the wires

    def received(self, side: Side, data: bytes) -> None:
        """`side` sent this."""
        side.heard = monotonic()
        side.pinged = 0.0
        side.bytes_in += len(data)
        if side.finished or side.frames.over:
            return
        left, target = side.frames.left, side.other
        if target.waiting and left and len(data) > left:
            self._carry(side, data[:left])
            data = data[left:]
        self._carry(side, data)
        if side.frames.over:
            self._over(side)

    def _carry(self, side: Side, data: bytes) -> None:
        target = side.other
        for piece in side.frames.feed(data):
            target.send(piece)
        if target.waiting:
            target.flush()
            self._settle()

    def _over(self, side: Side) -> None:
        """The last frame of `side` is there: its Close, or one that it may not send."""
        violation = side.frames.violation
        if violation is not None:
            large = violation.code == TOO_LARGE
            code = "websocket-message-too-large" if large else "websocket-protocol-error"
            state = REJECTED if side is self.client else UPSTREAM_ERROR
            self.shut(violation.code, violation.reason, state, code)
            return
        if not side.other.closing:
            side.other.sent_close = True
        self._begin_closing()
        self._settle()

    def lost(self, side: Side) -> None:
        """The connection of `side` is closed."""
        if side.gone:
            return
        side.gone = True
        self.flow(side)
        if self._closing_since:
            if side.frames.close_code is None and not side.other.gone:
                frame = close_frame(INTERNAL_ERROR, "the other side is gone", masked=side.other.masked)
                side.other.insert(frame, last=True)
        elif side is self.client:
            self.shut(GOING_AWAY, "the client is gone", CLIENT_ABORT, "client-gone")
        else:
            self.shut(INTERNAL_ERROR, "the upstream is gone", UPSTREAM_ERROR, "upstream-connection-lost")
        self._settle()

    def stall(self, side: Side) -> None:
        """`side` takes no more for now."""
        if not side.stalled:
            now = monotonic()
            side.stalled = now
            if not side.other.gone:
                side.other.wire.pause_reading()
            self.deadline = min(self.deadline, now + self.limits.idle_timeout)

    def flow(self, side: Side) -> None:
        """`side` takes data again."""
        if side.stalled:
            side.stalled = 0.0
            side.other.heard = monotonic()
            if not side.other.gone:
                side.other.wire.resume_reading()

    # -- closing

    def drain(self) -> None:
        """The worker ends: both sides are told to go away."""
        if not self._closing_since:
            self.shut(GOING_AWAY, "the gateway restarts", OK, "draining")

    def shut(self, close_code: int, reason: str, state: int, code: str) -> None:
        """Close from our side, towards both peers. The first reason is the one that is recorded."""
        if not self._closing_since:
            self.state, self.code = state, code
        self._begin_closing()
        for side in (self.client, self.upstream):
            if not side.gone:
                side.insert(close_frame(close_code, reason, masked=side.masked), last=True)
        self._settle()

    def cut(self) -> None:
        """End it now."""
        if not self._closing_since:
            self.state, self.code = KILLED, "drain-timeout"
            self._begin_closing()
        self._break_off()

    def _begin_closing(self) -> None:
        if not self._closing_since:
            self._closing_since = monotonic()
            self.deadline = self._closing_since + CLOSE_SECONDS

    def _settle(self) -> None:
        """Close the connections of sides that are done; report when both are gone."""
        if self._closing_since:
            for side in (self.client, self.upstream):
                self._finish(side)
        if self.client.gone and self.upstream.gone and self._ended is not None:
            ended, self._ended = self._ended, None
            self.deadline = NEVER
            ended(self.client.bytes_in, self.client.bytes_out, self.state, self.code)

    def _finish(self, side: Side) -> None:
        if side.gone or side.finished:
            return
        other = side.other
        if side.closing and other.gone and other.frames.left:
            # The frame that was passing will never end: a Close frame would be taken for a part of it.
            side.finished = True
            side.wire.finish()
        elif side.sent_close and side.frames.over:
            side.finished = True
            if side.frames.violation is not None:
                side.wire.half_close()
            else:
                side.wire.finish()

    def _break_off(self) -> None:
        for side in (self.client, self.upstream):
            if not side.gone:
                side.gone = side.finished = True
                side.wire.abort()
        self._settle()

    # -- time

    def tick(self) -> None:
        """`deadline` is past: ping who is silent, give up who does not answer."""
        now = monotonic()
        if self._closing_since:
            if now - self._closing_since >= CLOSE_SECONDS:
                self._break_off()
            return
        if now - self._checked >= RECHECK_SECONDS:
            self._checked = now
            if not self._standing():
                self.shut(POLICY_VIOLATION, "the credential no longer holds", REJECTED, "credential-revoked")
                return
        self._look_after(self.client, now)
        self._look_after(self.upstream, now)
        if not self._closing_since:
            self._schedule(now)

    def _look_after(self, side: Side, now: float) -> None:
        limits = self.limits
        name = "client" if side is self.client else "upstream"
        if side.stalled:
            if now - side.stalled >= limits.idle_timeout:
                self.shut(INTERNAL_ERROR, f"the {name} does not read", TIMEOUT, f"{name}-stalled")
        elif side.other.stalled or not limits.websocket_ping_interval:
            return
        elif side.pinged:
            if now - side.pinged >= limits.websocket_ping_timeout:
                self.shut(INTERNAL_ERROR, f"the {name} does not answer", TIMEOUT, f"{name}-ping-timeout")
        elif now - side.heard >= limits.websocket_ping_interval:
            side.pinged = now
            side.insert(control_frame(PING, side.frames.own_ping, masked=side.masked))

    def _schedule(self, now: float) -> None:
        due = now + RECHECK_SECONDS
        for side in (self.client, self.upstream):
            if side.stalled:
                due = min(due, side.stalled + self.limits.idle_timeout)
            elif side.pinged:
                due = min(due, side.pinged + self.limits.websocket_ping_timeout)
            elif self.limits.websocket_ping_interval:
                due = min(due, side.heard + self.limits.websocket_ping_interval)
        self.deadline = max(due, now + 0.01)
