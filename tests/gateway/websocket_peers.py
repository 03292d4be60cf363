"""Both ends of a WebSocket for tests: an upstream of real servers, and raw sockets that break the rules.

`EchoServer` serves whole conversations with the `websockets` library; `RawUpstream` takes one connection
after the other and leaves every byte to the test.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from proxy.websocket.handshake import accept_value

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def answer(websocket: ServerConnection) -> None:
    """What each path does; `/echo` and all others send back what comes."""
    assert websocket.request is not None
    path = websocket.request.path.partition("?")[0]
    if path == "/headers":
        websocket.send(json.dumps(list(websocket.request.headers.raw_items())))
    elif path == "/close":
        websocket.close(4003, "not today")
    elif path == "/big":
        websocket.send(b"x" * 300_000)
    elif path == "/bad-text":
        websocket.send(b"\xff\xfe", text=True)
    elif path == "/flood":
        flood(websocket)
        return
    try:
        for message in websocket:
            websocket.send(message)
    except ConnectionClosed:
        return


def choose(websocket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Of several subprotocols this server speaks one."""
    return Subprotocol("v2") if "v2" in offered else None


def flood(websocket: ServerConnection) -> None:
    """64 messages of 64 KiB, then Close."""
    for number in range(64):
        websocket.send(bytes((number,)) * 65536)


class EchoServer:
    """A WebSocket server in a thread, on `port`."""

    def __init__(self) -> None:
        self._server: Server = serve(
            answer, "127.0.0.1", 0, select_subprotocol=choose, max_size=None, ping_interval=None
        )
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> EchoServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(5)


class RawPeer:
    """A socket on which frames are read and written by hand."""

    def __init__(self, sock: socket.socket, *, masks: bool) -> None:
        self.sock = sock
        self.masks = masks
        self.head = b""
        self._buffer = b""

    def read_head(self) -> bytes:
        """A request or an answer up to its empty line."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.sock.recv(65536)
            assert data, self._buffer
            self._buffer += data
        self.head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return self.head

    def send(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        """One well-formed frame."""
        self.sock.sendall(bytes(Frame(opcode, data, fin).serialize(mask=self.masks)))

    def close_frame(self, code: int = 1000) -> None:
        """A Close frame."""
        self.send(Opcode.CLOSE, code.to_bytes(2, "big"))

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self._buffer)
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode and unmasked payload of the next frame. Raises EOFError at the end."""
        first, second = self._exactly(2)
        assert bool(second & 0x80) is not self.masks, "masked by the wrong side"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        mask = self._exactly(4) if second & 0x80 else bytes(4)
        data = self._exactly(size)
        return first & 15, bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))

    def read_close(self) -> int:
        """The code of the Close frame that must come next."""
        opcode, data = self.read_frame()
        assert opcode == Opcode.CLOSE, (opcode, data[:80])
        return int.from_bytes(data[:2], "big")

    def ended(self) -> bool:
        """Whether the other side closes the connection now; waits for it, at most the socket's timeout."""
        try:
            return self.sock.recv(65536) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()


def handshake(path: bytes = b"/echo", **changes: bytes | None) -> bytes:
    """A handshake; `sec_websocket_key=None` leaves a header out, a value replaces it."""
    headers: dict[str, bytes | None] = {
        "host": b"api.test",
        "connection": b"Upgrade",
        "upgrade": b"websocket",
        "sec_websocket_version": b"13",
        "sec_websocket_key": KEY,
        **changes,
    }
    lines = [
        b"%b: %b\r\n" % (name.replace("_", "-").encode(), value)
        for name, value in headers.items()
        if value is not None
    ]
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path, b"".join(lines))


class RawUpstream:
    """Listens on `port`; `accept` takes the next connection, `open` answers its handshake too."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(5)
        self.port: int = self._listener.getsockname()[1]
        self._peers: list[RawPeer] = []

    def accept(self) -> RawPeer:
        """The next connection, its request read."""
        sock, _ = self._listener.accept()
        sock.settimeout(5)
        peer = RawPeer(sock, masks=False)
        self._peers.append(peer)
        peer.read_head()
        return peer

    def open(self) -> RawPeer:
        """The next connection, switched to WebSocket."""
        peer = self.accept()
        peer.sock.sendall(switching(peer.head))
        return peer

    def hang_up(self) -> None:
        """Close all connections."""
        while self._peers:
            self._peers.pop().close()

    def close(self) -> None:
        """Close everything."""
        self.hang_up()
        self._listener.close()


def switching(head: bytes, **changes: bytes) -> bytes:
    """The 101 that answers this handshake."""
    (key,) = [line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: ")]
    headers = {
        "connection": b"Upgrade",
        "upgrade": b"websocket",
        "sec-websocket-accept": accept_value(key),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    lines = b"".join(b"%b: %b\r\n" % (name.encode(), value) for name, value in headers.items())
    return b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % lines


@contextmanager
def raw_upstream() -> Iterator[RawUpstream]:
    """A RawUpstream for the time of the block."""
    upstream = RawUpstream()
    try:
        yield upstream
    finally:
        upstream.close()


def random_key(seed: int = 7) -> bytes:
    """Another valid Sec-WebSocket-Key."""
    return base64.b64encode(bytes(range(seed, seed + 16)))
