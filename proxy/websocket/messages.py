"""The upstream's side of a WebSocket as whole messages, for servers that give a gateway messages, not frames.

The protocol is that of the `websockets` package, without its sockets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from proxy.websocket.frames import INTERNAL_ERROR, NO_CODE, NORMAL, TOO_LARGE, sendable

if TYPE_CHECKING:
    from proxy.upstream.transport import UpstreamRelay

INVALID_DATA = 1007
monotonic = time.monotonic


class UpstreamMessages:
    """Speaks WebSocket with the upstream; as `RelayEnd` it takes what the upstream's connection brings.

    `arrived` is called with each message; `changed` when the upstream takes data again or is over.
    """

    def __init__(
        self,
        relay: UpstreamRelay,
        limit: int,
        arrived: Callable[[str | bytes], None],
        changed: Callable[[], None],
    ) -> None:
        self._relay = relay
        self._protocol = Protocol(CLIENT, state=OPEN, max_size=limit)
        self._arrived = arrived
        self._changed = changed
        self._parts: list[bytes] = []
        self._text = False
        self._ping = b"tg" + os.urandom(6)
        self.stalled = 0.0
        """Since when the upstream takes no more; 0 if it does."""
        self.heard = monotonic()
        self.pinged = 0.0
        self.gone = False
        """Its connection is closed."""

    # -- as the end of a relay

    def relay_data(self, data: bytes) -> None:
        """Bytes from the upstream."""
        self.heard = monotonic()
        self.pinged = 0.0
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        self._write()
        if self.over:
            self._changed()

    def relay_closed(self) -> None:
        """The upstream is gone."""
        self.gone = True
        self._protocol.receive_eof()
        self._changed()

    def relay_pause(self) -> None:
        """The upstream takes no more for now."""
        self.stalled = self.stalled or monotonic()

    def relay_resume(self) -> None:
        """The upstream takes data again."""
        self.stalled = 0.0
        self._changed()

    # -- for the door

    @property
    def over(self) -> bool:
        """No message will come any more: closed by the upstream, broken by it, or lost."""
        protocol = self._protocol
        return self.gone or protocol.close_rcvd is not None or protocol.parser_exc is not None

    @property
    def said_close(self) -> bool:
        """The upstream sent a Close frame."""
        return self._protocol.close_rcvd is not None

    @property
    def closed_by_us(self) -> bool:
        """A Close frame went to the upstream without one from it."""
        return self._protocol.close_sent is not None and self._protocol.close_rcvd is None

    @property
    def violation(self) -> int:
        """The Close code that the upstream got for breaking the rules, 0 if it kept them."""
        protocol = self._protocol
        if (
            protocol.parser_exc is None
            or isinstance(protocol.parser_exc, EOFError)
            or not protocol.close_sent
        ):
            return 0
        return protocol.close_sent.code

    @property
    def farewell(self) -> tuple[int, str]:
        """Close code and reason for the client, once this is `over`."""
        received = self._protocol.close_rcvd
        if received is not None and (received.code == NO_CODE or sendable(received.code)):
            return (NORMAL if received.code == NO_CODE else received.code), received.reason
        if self.violation:
            return self.violation, "too large" if self.violation == TOO_LARGE else "protocol error"
        return INTERNAL_ERROR, "the upstream is gone"

    def send(self, message: str | bytes) -> None:
        """Send a message; dropped if the upstream is closing."""
        try:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        except InvalidState:
            return
        self._write()

    def close(self, code: int, reason: str = "") -> None:
        """Send a Close frame, unless one went out."""
        if self._protocol.close_sent is not None or self.gone:
            return
        if sendable(code):
            self._protocol.send_close(code, reason[:40])
        else:
            self._protocol.send_close()
        self._write()

    def ping(self) -> None:
        """Ask whether it is still there."""
        self.pinged = monotonic()
        self._protocol.send_ping(self._ping)
        self._write()

    # -- frames

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._text = frame.opcode is Opcode.TEXT
            self._parts = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT:
            self._parts.append(bytes(frame.data))
        else:
            return
        if frame.fin:
            data, self._parts = b"".join(self._parts), []
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        if not self._text:
            self._arrived(data)
            return
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            self._protocol.fail(INVALID_DATA, "text that is not UTF-8")
            self._protocol.parser_exc = error
        else:
            self._arrived(text)

    def _write(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self.gone:
                self._relay.write(data)
