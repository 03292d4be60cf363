"""The raw client: bytes over a socket, never an HTTP library, and a strict reader of answers."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
from dataclasses import dataclass
from typing import Any

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")


@dataclass
class Answer:
    """One answer, as a client reads it that forgives nothing."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def get(self, name: bytes) -> bytes | None:
        """The one value of a header."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) < 2, f"{name!r} occurs {len(values)} times"
        return values[0] if values else None

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document of a refusal."""
        assert self.get(b"content-type") == b"application/problem+json", self
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def code(self) -> str:
        """The problem's stable code."""
        return str(self.problem["code"])


class Client:
    """One connection to a gateway; every wait ends after `timeout` seconds with an error."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def half_close(self) -> None:
        """Say that nothing more comes; answers can still be read."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave without a word: the gateway sees a reset, not a half-closed connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data: bytes, piece: int = 0) -> None:
        """Send all of it, in pieces of that size if one is given; stop quietly if the gateway has closed."""
        try:
            for start in range(0, len(data), piece or len(data) or 1):
                self.sock.sendall(data[start : start + (piece or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def read(self, method: bytes = b"GET") -> Answer:
        """The next answer; EOFError if the connection ends before it is whole."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(lines[0])
        assert status is not None, lines[0]
        headers = []
        for line in lines[1:]:
            field = _FIELD.fullmatch(line)
            assert field is not None, line
            headers.append((field[1], field[2] or b""))
        answer = Answer(int(status[1]), headers, b"")
        if answer.status >= 200:
            answer.body = self._body(answer, method)
        return answer

    def rest(self) -> bytes:
        """Everything until the gateway closes."""
        while True:
            try:
                self._more()
            except EOFError:
                data, self.buffer = self.buffer, b""
                return data

    def closed(self) -> bool:
        """Wait until the gateway closes; False if something else came first."""
        return self.rest() == b""

    def _body(self, answer: Answer, method: bytes) -> bytes:
        length, coding = answer.get(b"content-length"), answer.get(b"transfer-encoding")
        assert length is None or coding is None
        if method == b"HEAD" or answer.status in (204, 304):
            return b""
        if coding is not None:
            assert coding == b"chunked"
            return self._chunks()
        if length is None:
            return self.rest()
        return self._take(int(length))

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self.buffer:
                self._more()
            size, _, self.buffer = self.buffer.partition(b"\r\n")
            data = self._take(int(size, 16) + 2)
            assert data.endswith(b"\r\n")
            if size == b"0":
                return body
            body += data[:-2]

    def _take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _more(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError(f"closed after {self.buffer!r}")
        self.buffer += data
