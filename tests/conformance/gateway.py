"""A real worker process of the native door in front of the recording upstream."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import httptools
import msgspec

from proxy.config.snapshot import Route, Snapshot, Target, Upstream
from proxy.exchange import Header
from proxy.http.edge import canonical_host
from proxy.telemetry.record import REJECTED, TrafficRecord
from proxy.telemetry.tail import Tail
from tests.conformance.client import Answer, Client
from tests.conformance.recorder import RecordingUpstream, Seen
from tests.gateway import doors
from tests.gateway.doors import wait_until

HOST = b"a.test"
HANDSHAKE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
"""The lines that make a GET a WebSocket handshake (RFC 6455 4.1)."""


class Gateway:
    """A worker behind one door with the recording upstream behind it."""

    def __init__(self, folder: Path, snapshot: Snapshot, door: str = "native") -> None:
        self.upstream = RecordingUpstream()
        self.running = doors.Gateway(door, self._aimed(snapshot), folder)
        self.port = self.running.port
        self.tail = Tail(self.running.node.spool)

    def _aimed(self, snapshot: Snapshot) -> Snapshot:
        """The configuration with the recording upstream as the target of every Upstream."""
        targets = (Target("127.0.0.1", self.upstream.port),)
        aimed = tuple(msgspec.structs.replace(upstream, targets=targets) for upstream in snapshot.upstreams)
        return msgspec.structs.replace(snapshot, upstreams=aimed)

    def publish(self, snapshot: Snapshot) -> None:
        """Put another configuration in force."""
        self.running.publish(self._aimed(snapshot))

    def close(self) -> None:
        """End the worker; it must have lived until now and said nothing of exceptions."""
        alive = self.running.process.poll() is None
        code = self.running.stop()
        self.upstream.close()
        self.running.state.close()
        log = self.running.stderr()
        assert alive and code in (0, -signal.SIGTERM) and "Traceback" not in log, log

    def connect(self, timeout: float = 10.0) -> Client:
        """A new connection."""
        return Client(self.port, timeout)

    def records(self) -> list[TrafficRecord]:
        """The records that are new since the last call."""
        return self.tail.new()

    def record(self) -> TrafficRecord:
        """The one record that is new."""
        found: list[TrafficRecord] = []
        wait_until(lambda: found.extend(self.records()) or found, "a record")
        assert len(found) == 1, found
        return found[0]

    def counter(self, name: str) -> int:
        """One of the counters without labels."""
        return self.running.metrics()[name]

    def refuses(self, payload: bytes, *, piece: int = 0, streamed: bool = False) -> Answer:
        """The oracle "400+close": a problem, the connection closed by the gateway, nothing upstream, one
        record with state and code. A body that turns out malformed while it is `streamed` may have had
        its head sent on: then no whole request may have arrived, and what has must be cut off."""
        self.settle()
        before, count = self.upstream.bytes, len(self.upstream.requests)
        with self.connect() as client:
            client.send(payload, piece)
            answer = client.read(payload.partition(b" ")[0])
            assert 400 <= answer.status <= 505 and answer.status != 500, answer
            assert client.closed(), "more than one answer"
        self.upstream.settle()
        assert len(self.upstream.requests) == count, self.upstream.requests[-1].raw
        if streamed:
            wait_until(lambda: self.upstream.settle() or not self.upstream.unfinished, "the upstream's end")
        else:
            assert self.upstream.bytes == before, "bytes reached the upstream"
        record = self.record()
        assert record.state == REJECTED, record
        if answer.body:
            assert (record.code, record.status) == (answer.code, answer.status)
        assert record.code
        return answer

    def accepts(self, payload: bytes, *, piece: int = 0, status: int = 200) -> Seen:
        """The oracle O1: one request upstream, the same for every parser and for the record."""
        self.settle()
        before, count = self.upstream.bytes, len(self.upstream.requests)
        with self.connect() as client:
            client.send(payload, piece)
            answer = client.read(payload.partition(b" ")[0])
            while answer.status < 200:
                answer = client.read(payload.partition(b" ")[0])
            assert answer.status == status, answer
        self.upstream.settle()
        assert len(self.upstream.requests) == count + 1
        seen = self.upstream.requests[-1]
        assert len(seen.raw) == self.upstream.bytes - before, "more than one request upstream"
        same_for_all(seen, self.record())
        return seen

    def settle(self) -> None:
        """Begin a case: nothing is under way, all records are read."""
        self.upstream.settle()
        self.records()


class _Parsed:
    """What llhttp makes of bytes."""

    def __init__(self) -> None:
        self.target = self.body = b""
        self.headers: list[Header] = []
        self.complete = 0

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


def llhttp_reads(raw: bytes) -> tuple[bytes, bytes, list[Header], bytes]:
    """Method, target, headers and body of the one request that llhttp finds in `raw`."""
    parsed = _Parsed()
    parser = httptools.HttpRequestParser(parsed)
    with contextlib.suppress(httptools.HttpParserUpgrade):
        parser.feed_data(raw)
    assert parsed.complete == 1, raw
    return parser.get_method(), parsed.target, parsed.headers, parsed.body


def same_for_all(seen: Seen, record: TrafficRecord) -> None:
    """O1: h11 (in the recorder) and llhttp read the same request, and it is the one in the record."""
    method, target, headers, body = llhttp_reads(seen.raw)
    assert (method, target, body) == (seen.method, seen.target, seen.body)
    assert sorted(headers) == sorted(seen.headers)
    path, _, _ = seen.target.partition(b"?")
    assert (record.method, record.path) == (seen.method.decode(), path[:1024].decode("latin-1"))
    assert record.bytes_in == len(seen.body)
    (host,) = seen.values(b"x-forwarded-host")
    assert len(seen.values(b"host")) == 1
    assert canonical_host(host) == record.host.encode()


def head(
    method: bytes, target: bytes, *lines: bytes, host: bytes = HOST, version: bytes = b"HTTP/1.1"
) -> bytes:
    """A request head: the request line, Host (unless empty), further lines."""
    first = [b"%b %b %b" % (method, target, version)]
    if host:
        first.append(b"Host: " + host)
    return b"\r\n".join([*first, *lines, b"", b""])


def get(target: bytes = b"/x", *lines: bytes, host: bytes = HOST) -> bytes:
    """A GET without a body."""
    return head(b"GET", target, *lines, host=host)


def post(*lines: bytes, body: bytes = b"", target: bytes = b"/x") -> bytes:
    """A POST framed by `lines` alone."""
    return head(b"POST", target, *lines) + body


def chunked(body: bytes, *lines: bytes) -> bytes:
    """A POST with that chunked framing as it is."""
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def open_snapshot(**changes: object) -> Snapshot:
    """One open route for every host to the recorder."""
    route = Route("all", "open", upstream="recorder")
    base = Snapshot(revision=1, routes=(route,), upstreams=(Upstream("recorder"),))
    return msgspec.structs.replace(base, **changes)


@contextlib.contextmanager
def running(folder: Path, snapshot: Snapshot, door: str = "native") -> Iterator[Gateway]:
    """A gateway for the time of the block."""
    gateway = Gateway(folder, snapshot, door)
    try:
        yield gateway
    finally:
        gateway.close()
