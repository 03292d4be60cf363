"""A client that times every request: `python -m benchmarks.client MODE OPTIONS`, a process of its own.

    paced    a request every 1/rate seconds, each timed from when it was due: a slow answer cannot hide the
             wait of those behind it (no coordinated omission)
    closed   each connection sends its next request when it has the answer
    burst    opens all connections, then sends one request on each at once
    idle     opens connections, has one answer on each, holds them until its input ends
    spread   one request with each key of a file, one after the other

`paced` and `closed` write their samples to `--output` and print a line when they begin; SIGTERM lets `paced`
end before its time. Times are CLOCK_MONOTONIC seconds, which all processes of a machine share.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import select
import signal
import socket
import sys
import time
from pathlib import Path

from benchmarks.machine import raise_file_limit

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
NO_ANSWER = 0
GRACE = 5.0
monotonic = time.monotonic


class Connection:
    """One connection with at most one request under way."""

    __slots__ = ("buffer", "due", "name", "sock")

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 10.0)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.due = 0.0
        self.name = -1

    def send(self, request: bytes, due: float, name: int) -> None:
        """Send; raises OSError if the connection is broken."""
        self.due, self.name = due, name
        self.sock.sendall(request)

    def receive(self) -> int | None:
        """The status, once the whole answer is here; NO_ANSWER if the connection broke before."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            return NO_ANSWER
        if not data:
            return NO_ANSWER
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        found = LENGTH.search(self.buffer, 0, end + 2)
        if len(self.buffer) < end + 4 + (int(found[1]) if found else 0):
            return None
        status, self.buffer = int(self.buffer[9:12]), b""
        return status


class Generator:
    """Sends requests named 0, 1, 2 … and keeps a sample of each: (name, due, latency, status)."""

    def __init__(self, port: int, template: bytes, connections: int) -> None:
        self.samples: list[tuple[int, float, float, int]] = []
        self.refused = 0
        self._port = port
        self._template = template
        self._next = 0
        self._poll = select.epoll()
        self._busy: dict[int, Connection] = {}
        self.stopped = False
        self._free: collections.deque[Connection] = collections.deque()
        self._watched: dict[int, Connection] = {}
        for _ in range(connections):
            self._open()

    def paced(self, rate: float, seconds: float) -> None:
        """Open loop."""
        start = monotonic() + 0.01
        count, sent = int(rate * seconds), 0
        waiting: collections.deque[float] = collections.deque()
        while sent < count or waiting or self._busy:
            now = monotonic()
            if self.stopped and sent < count:
                count, seconds = sent, now - start
            while sent < count and start + sent / rate <= now:
                waiting.append(start + sent / rate)
                sent += 1
            while waiting and self._free:
                self._send(self._free.popleft(), waiting.popleft())
            if now > start + seconds + GRACE:
                break
            due = start + sent / rate if sent < count else now + 0.05
            self._receive(max(0.0, due - now))
        self._give_up()

    def closed(self, seconds: float) -> None:
        """Closed loop."""
        end = monotonic() + seconds
        while monotonic() < end or self._busy:
            while self._free and monotonic() < end:
                self._send(self._free.popleft(), monotonic())
            if monotonic() > end + GRACE:
                break
            self._receive(0.05)
        self._give_up()

    def close(self) -> None:
        """Give the connections back."""
        for connection in self._watched.values():
            connection.sock.close()
        self._poll.close()

    def _open(self) -> None:
        try:
            connection = Connection(self._port)
        except OSError:
            self.refused += 1
            return
        self._free.append(connection)
        self._watched[connection.sock.fileno()] = connection
        self._poll.register(connection.sock, select.EPOLLIN)

    def _drop(self, connection: Connection) -> None:
        self._watched.pop(connection.sock.fileno(), None)
        self._poll.unregister(connection.sock)
        connection.sock.close()
        if connection in self._free:
            self._free.remove(connection)
        self._open()

    def _send(self, connection: Connection, due: float) -> None:
        name, self._next = self._next, self._next + 1
        try:
            connection.send(self._template.replace(b"{n}", b"%d" % name), due, name)
        except OSError:
            self.samples.append((name, due, monotonic() - due, NO_ANSWER))
            self._drop(connection)
            return
        self._busy[connection.sock.fileno()] = connection

    def _receive(self, timeout: float) -> None:
        # epoll counts in milliseconds; select waits for microseconds.
        if timeout and not select.select([self._poll], [], [], timeout)[0]:
            return
        for descriptor, _ in self._poll.poll(0):
            connection = self._watched[descriptor]
            status = connection.receive()
            if status is None:
                continue
            if self._busy.pop(descriptor, None) is not None:
                due = connection.due
                self.samples.append((connection.name, due, monotonic() - due, status))
            if status == NO_ANSWER:
                self._drop(connection)
            else:
                self._free.append(connection)

    def _give_up(self) -> None:
        now = monotonic()
        for connection in self._busy.values():
            self.samples.append((connection.name, connection.due, now - connection.due, NO_ANSWER))


def burst(port: int, request: bytes, count: int) -> dict[str, int]:
    """One request on each of `count` connections at once; how often which status came."""
    connections = [Connection(port) for _ in range(count)]
    for connection in connections:
        connection.send(request, 0.0, 0)
    statuses: collections.Counter[str] = collections.Counter()
    for connection in connections:
        status = None
        while status is None:
            status = connection.receive()
        statuses[str(status)] += 1
        connection.sock.close()
    return dict(statuses)


def idle(port: int, request: bytes, count: int) -> None:
    """Hold connections that have had one answer each."""
    connections = []
    for _ in range(count):
        connection = Connection(port)
        connection.send(request, 0.0, 0)
        while (status := connection.receive()) is None:
            pass
        if status != 200:
            sys.exit(f"an idle connection was answered with {status}")
        connections.append(connection)
    print("ready", flush=True)
    sys.stdin.read()


def head(path: str, key: str) -> bytes:
    """A GET with a key."""
    return f"GET {path} HTTP/1.1\r\nHost: bench.example\r\nX-Api-Key: {key}\r\n\r\n".encode()


def spread(port: int, path: str, keys: list[str]) -> dict[str, int]:
    """One request with each key, one after the other on one connection."""
    connection = Connection(port)
    statuses: collections.Counter[str] = collections.Counter()
    for key in keys:
        connection.send(head(path, key), 0.0, 0)
        while (status := connection.receive()) is None:
            pass
        statuses[str(status)] += 1
    return dict(statuses)


def _generate(given: argparse.Namespace, request: bytes) -> None:
    generator = Generator(given.port, request, given.connections)
    signal.signal(signal.SIGTERM, lambda *_: setattr(generator, "stopped", True))
    print("ready", flush=True)
    if given.mode == "paced":
        generator.paced(given.rate, given.seconds)
    else:
        generator.closed(given.seconds)
    result = {"refused": generator.refused, "samples": generator.samples}
    Path(given.output).write_text(json.dumps(result))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client")
    parser.add_argument("mode", choices=("paced", "closed", "burst", "idle", "spread"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/svc/s1/orders", help="{n} becomes the number of the request")
    parser.add_argument("--key", default="", help="or for `spread` a file with one key a line")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--output", default="")
    given = parser.parse_args()
    raise_file_limit()
    request = head(given.path, given.key)
    if given.mode == "burst":
        print(json.dumps(burst(given.port, request, given.connections)))
    elif given.mode == "spread":
        print(json.dumps(spread(given.port, given.path, Path(given.key).read_text().split())))
    elif given.mode == "idle":
        idle(given.port, request, given.connections)
    else:
        _generate(given, request)


if __name__ == "__main__":
    main()
