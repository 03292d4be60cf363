"""WebSocket frames as they pass (RFC 6455 section 5): where they begin and end, what is wrong with them.

Payloads are neither unmasked nor copied: what may pass is handed on in the pieces in which it came.
"""

from __future__ import annotations

import secrets

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_FIN, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_KNOWN = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_CODE, TOO_LARGE, INTERNAL_ERROR = 1000, 1001, 1002, 1005, 1009, 1011
POLICY_VIOLATION = 1008
"""Close codes (RFC 6455 section 7.4.1); NO_CODE stands for a Close frame without one."""

CONTROL_BYTES = 125
MOST_FRAGMENTS = 65536
"""Frames of one message: its bytes are limited, and so are fragments that hold none."""


class Violation(Exception):
    """A peer broke the rules; `code` is the Close code that it gets, the message says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameStream:
    """One direction of a WebSocket.

    `masked` is True for what a client sends. `limit` is the most bytes of a message, all fragments together.
    After a Close frame or a violation everything that follows is dropped.
    """

    __slots__ = (
        "_fragments",
        "_held",
        "close_code",
        "left",
        "limit",
        "masked",
        "message",
        "own_ping",
        "pings",
        "violation",
    )

    def __init__(self, *, masked: bool, limit: int) -> None:
        self.masked = masked
        self.limit = limit
        self.left = 0
        """Payload bytes to come of the frame that is passing; 0 is between two frames."""
        self.message = 0
        """Bytes of the fragmented message so far."""
        self.pings = 0
        self.own_ping = b""
        """Payload of the pings that the gateway itself sends; the pongs for it do not pass."""
        self.close_code: int | None = None
        self.violation: Violation | None = None
        self._fragments = 0
        self._held = b""

    @property
    def over(self) -> bool:
        """Nothing more will pass."""
        return self.close_code is not None or self.violation is not None

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came; returns what may pass on. Sets `close_code` or `violation` where one is met."""
        if len(data) <= self.left:
            self.left -= len(data)
            return [data]
        if self.over:
            return []
        if self._held:
            data, self._held = self._held + data, b""
        return self._pass(data)

    def _pass(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        begin, position, size = 0, self.left, len(data)
        self.left = 0
        while position < size and self.close_code is None:
            try:
                end, passes = self._frame(data, position)
            except Violation as violation:
                self.violation = violation
                break
            if not end:
                self._held = data[position:]
                break
            if not passes:
                pieces.append(data[begin:position])
                begin = end
            position = end
        if position > size:
            self.left = position - size
            position = size
        pieces.append(data[begin:position])
        return [piece for piece in pieces if piece]

    def _frame(self, data: bytes, position: int) -> tuple[int, bool]:
        """Where the frame at `position` ends, 0 if its head is not complete yet, and whether it passes.

        A control frame passes as a whole; that of a data frame may lie behind the end of `data`.
        """
        start, length = self._head(data, position)
        if not start:
            return 0, True
        end = start + length
        opcode = data[position] & _OPCODE
        if opcode < CLOSE:
            self._count(data[position], opcode, length)
            return end, True
        if end > len(data):
            return 0, True
        return end, self._control(opcode, data[start:end], data[start - 4 : start])

    def _head(self, data: bytes, position: int) -> tuple[int, int]:
        """Where the payload begins, 0 if that is not known yet, and its length."""
        available = len(data) - position
        if available < 2:
            return 0, 0
        first, second = data[position], data[position + 1]
        length = second & _LENGTH
        self._check(first, second, length)
        start = position + 2
        if length >= 126:
            width = 2 if length == 126 else 8
            start += width
            if start > len(data):
                return 0, 0
            length = int.from_bytes(data[position + 2 : start], "big")
            if length < (126 if width == 2 else 65536):
                raise Violation(PROTOCOL_ERROR, "a length was not written in its shortest form")
        if length + (self.message if first & _OPCODE == CONTINUATION else 0) > self.limit:
            raise Violation(TOO_LARGE, f"messages may have {self.limit} bytes at most")
        start += 4 if self.masked else 0
        return (0, 0) if start > len(data) else (start, length)

    def _check(self, first: int, second: int, length: int) -> None:
        opcode = first & _OPCODE
        if first & _RESERVED or opcode not in _KNOWN:
            raise Violation(PROTOCOL_ERROR, "a reserved bit or opcode is set")
        if bool(second & _MASKED) is not self.masked:
            raise Violation(PROTOCOL_ERROR, "client frames are masked, server frames are not")
        if opcode >= CLOSE:
            if length > CONTROL_BYTES or not first & _FIN:
                raise Violation(PROTOCOL_ERROR, "a control frame is too long or fragmented")
        elif (opcode == CONTINUATION) is not (self._fragments > 0):
            raise Violation(PROTOCOL_ERROR, "fragments of a message are out of order")

    def _count(self, first: int, opcode: int, length: int) -> None:
        if first & _FIN:
            self.message = self._fragments = 0
            return
        self.message += length
        self._fragments += 1
        if self._fragments >= MOST_FRAGMENTS:
            raise Violation(TOO_LARGE, f"messages may have {MOST_FRAGMENTS} fragments at most")

    def _control(self, opcode: int, payload: bytes, mask: bytes) -> bool:
        """A whole control frame; False if it does not pass."""
        if opcode == PING:
            self.pings += 1
            return True
        if self.masked and payload:
            payload = mask_short(payload, mask)
        if opcode == PONG:
            return not self.own_ping or payload != self.own_ping
        self.close_code = int.from_bytes(payload[:2], "big") if payload else NO_CODE
        if len(payload) == 1 or (payload and not sendable(self.close_code)):
            self.close_code = None
            raise Violation(PROTOCOL_ERROR, "the Close frame holds no valid code")
        return True


def sendable(code: int) -> bool:
    """Whether a Close frame may hold this code (RFC 6455 section 7.4)."""
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


def mask_short(payload: bytes, mask: bytes) -> bytes:
    """Mask or unmask the payload of a control frame (RFC 6455 section 5.3)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def control_frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """A Close, Ping or Pong frame; `payload` of at most 125 bytes. `masked` for what goes to a server."""
    if not masked:
        return bytes((_FIN | opcode, len(payload))) + payload
    mask = secrets.token_bytes(4)
    return bytes((_FIN | opcode, _MASKED | len(payload))) + mask + mask_short(payload, mask)


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """A Close frame; the reason is cut to what fits."""
    text = reason.encode()[: CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return control_frame(CLOSE, code.to_bytes(2, "big") + text, masked=masked)
