"""The recording upstream: keeps the exact bytes that reach it and answers each request it can make out.

One thread, one selector. `settle` returns when everything that the kernel holds for the recorder has been
read, so that "nothing arrived" can be asserted without a sleep.
"""

from __future__ import annotations

import queue
import select
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import h11


@dataclass
class Seen:
    """One complete request as it arrived."""

    raw: bytes
    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    connection: Connection

    def values(self, name: bytes) -> list[bytes]:
        """The values of all lines of a header."""
        return [value for key, value in self.headers if key == name]

    @property
    def names(self) -> set[bytes]:
        """The names of all headers."""
        return {key for key, _ in self.headers}


@dataclass
class Connection:
    """One connection from the gateway, all that came on it, and the part that is no whole request yet."""

    sock: socket.socket
    raw: bytearray = field(default_factory=bytearray)
    rest: bytearray = field(default_factory=bytearray)
    parser: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER))
    head: h11.Request | None = None
    body: bytearray = field(default_factory=bytearray)
    closed: bool = False
    broken: bool = False
    """What came is no HTTP."""
    answered_early: bool = False
    """It got an answer before its request was whole; what comes now is only kept."""


OK_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"


def echo(seen: Seen) -> bytes:
    """The usual answer: method and target, so that every client can tell whose answer it got."""
    text = seen.method + b" " + seen.target
    return OK_ANSWER % (len(text), b"" if seen.method == b"HEAD" else text)


class RecordingUpstream:
    """`answers` maps paths (without query) to answers in place of `echo`; None holds the request until
    `release`. `early` maps paths to answers that are sent as soon as the head is here."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.setblocking(False)
        self.port: int = self.listener.getsockname()[1]
        self.connections: list[Connection] = []
        self.requests: list[Seen] = []
        self.held: list[Seen] = []
        self.answers: dict[bytes, Callable[[Seen], bytes] | None] = {}
        self.early: dict[bytes, bytes] = {}
        self.bytes = 0
        self.sent = 0
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self._wake_read, self._wake_write = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.listener, selectors.EVENT_READ, None)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Return when everything that has arrived so far is recorded."""
        self._call(self._drain)

    def release(self) -> None:
        """Answer what is held."""

        def answer() -> None:
            held, self.held = self.held, []
            for seen in held:
                self._send(seen.connection, echo(seen))

        self._call(answer)

    @property
    def unfinished(self) -> list[Connection]:
        """Open connections with a part of a request, or with bytes that are none."""
        return [c for c in self.connections if not c.closed and c.rest]

    def close(self) -> None:
        """End the thread and all connections."""
        self._call(self._stop)
        self._thread.join(5)

    def _stop(self) -> None:
        self._open = False

    def _call(self, function: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            function()
            done.set()

        self._calls.put(run)
        self._wake_write.send(b"x")
        assert done.wait(10), "the recording upstream hangs"

    def _run(self) -> None:
        while self._open:
            self._turn(None)
            while self._open:
                try:
                    self._calls.get_nowait()()
                except queue.Empty:
                    break
        for connection in self.connections:
            connection.sock.close()
        for sock in (self.listener, self._wake_read, self._wake_write):
            sock.close()
        self._selector.close()

    def _drain(self) -> None:
        while self._turn(0):
            pass

    def _turn(self, timeout: float | None) -> bool:
        events = self._selector.select(timeout)
        for key, _ in events:
            if key.fileobj is self.listener:
                self._accept()
            elif key.fileobj is self._wake_read:
                self._wake_read.recv(4096)
            else:
                self._read(key.data)
        return bool(events)

    def _accept(self) -> None:
        sock, _ = self.listener.accept()
        sock.setblocking(False)
        connection = Connection(sock)
        self.connections.append(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(connection.sock)
            connection.sock.close()
            connection.closed = True
            return
        self.bytes += len(data)
        connection.raw += data
        connection.rest += data
        if not (connection.broken or connection.answered_early):
            connection.parser.receive_data(data)
            self._parse(connection)

    def _parse(self, connection: Connection) -> None:
        try:
            while True:
                event = connection.parser.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                self._event(connection, event)
        except h11.RemoteProtocolError:
            connection.broken = True

    def _event(self, connection: Connection, event: object) -> None:
        if isinstance(event, h11.Request):
            connection.head = event
            early = self.early.get(event.target.partition(b"?")[0])
            if early is not None:
                connection.answered_early = True
                self._send_raw(connection, early)
        elif isinstance(event, h11.Data):
            connection.body += event.data
        elif isinstance(event, h11.EndOfMessage) and connection.head is not None:
            self._complete(connection, connection.head)

    def _complete(self, connection: Connection, head: h11.Request) -> None:
        trailing, _ = connection.parser.trailing_data
        length = len(connection.rest) - len(trailing)
        raw = bytes(connection.rest[:length])
        del connection.rest[:length]
        headers = [(bytes(name), bytes(value)) for name, value in head.headers]
        seen = Seen(raw, bytes(head.method), bytes(head.target), headers, bytes(connection.body), connection)
        connection.head, connection.body = None, bytearray()
        self.requests.append(seen)
        make = self.answers.get(seen.target.partition(b"?")[0], echo)
        if make is None:
            self.held.append(seen)
        else:
            self._send(connection, make(seen))

    def _send(self, connection: Connection, answer: bytes) -> None:
        self._send_raw(connection, answer)
        # A new parser for the next request; h11's own cycle would insist on answers made by h11.
        trailing, _ = connection.parser.trailing_data
        connection.parser = h11.Connection(h11.SERVER)
        if trailing:
            connection.parser.receive_data(trailing)
            self._parse(connection)

    def _send_raw(self, connection: Connection, answer: bytes) -> None:
        if len(answer) > 1 << 16:
            threading.Thread(target=self._push, args=(connection.sock, answer), daemon=True).start()
        elif not connection.closed:
            self._push(connection.sock, answer)

    def _push(self, sock: socket.socket, data: bytes) -> None:
        """Send as fast as the gateway takes it."""
        view = memoryview(data)
        try:
            while view:
                try:
                    count = sock.send(view)
                except BlockingIOError:
                    select.select([], [sock], [], 0.1)
                    continue
                self.sent += count
                view = view[count:]
        except (OSError, ValueError):
            pass  # the gateway has closed
