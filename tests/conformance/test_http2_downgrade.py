"""T-A23: what HTTP/2 can carry and HTTP/1.1 cannot, through granian, never becomes bytes of a request."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.conformance.gateway import Gateway, llhttp_reads, open_snapshot, running

h2_config = pytest.importorskip("h2.config")
h2_connection = pytest.importorskip("h2.connection")
hpack = pytest.importorskip("hpack")
PSEUDO = [(b":method", b"POST"), (b":path", b"/x"), (b":scheme", b"http"), (b":authority", b"a.test")]


@pytest.fixture(scope="module")
def granian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One open route behind granian."""
    pytest.importorskip("granian")
    with running(tmp_path_factory.mktemp("node"), open_snapshot(), "granian") as started:
        yield started


def _with(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) if pair[0] == name else pair for pair in PSEUDO]


CASES = {
    "value with CRLF": [*PSEUDO, (b"x-a", b"1\r\nx-consumer-id: admin")],
    "value with LF": [*PSEUDO, (b"x-a", b"1\nx-consumer-id: admin")],
    "value with NUL": [*PSEUDO, (b"x-a", b"1\x00x-consumer-id: admin")],
    "name with colon": [*PSEUDO, (b"x-consumer-id: admin\r\nx-b", b"1")],
    "name with a blank": [*PSEUDO, (b"x a", b"1")],
    "name in upper case": [*PSEUDO, (b"X-Consumer-Id", b"admin")],
    "empty name": [*PSEUDO, (b"", b"1")],
    "transfer-encoding": [*PSEUDO, (b"transfer-encoding", b"chunked")],
    "content-length too small": [*PSEUDO, (b"content-length", b"1")],
    "content-length too large": [*PSEUDO, (b"content-length", b"500")],
    "two content-lengths": [*PSEUDO, (b"content-length", b"5"), (b"content-length", b"6")],
    "path with blank": _with(b":path", b"/x HTTP/1.1\r\nx-consumer-id: admin\r\nx: "),
    "path without slash": _with(b":path", b"@evil/"),
    "method with blank": _with(b":method", b"GET /admin HTTP/1.1\r\nhost: b\r\n\r\nGET"),
    "two authorities": [*PSEUDO, (b":authority", b"b.test")],
    "authority and another host": [*PSEUDO, (b"host", b"b.test")],
    "authority with user": _with(b":authority", b"a.test@b.test"),
    "connection": [*PSEUDO, (b"connection", b"close, x-real-ip")],
    "unknown pseudo header": [*PSEUDO, (b":consumer", b"admin")],
    "underscore": [*PSEUDO, (b"x_consumer_id", b"admin")],
    "name that only the gateway may set": [*PSEUDO, (b"x-consumer-id", b"admin")],
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_smuggled_down(granian: Gateway, name: str) -> None:
    granian.running.forget_records()
    granian.upstream.settle()
    count = len(granian.upstream.requests)
    status = _send(granian.port, CASES[name], b"Hello")
    granian.running.forget_records()
    granian.upstream.settle()
    seen = granian.upstream.requests[count:]
    assert len(seen) <= 1
    for one in seen:
        method, target, _, body = llhttp_reads(one.raw)
        assert (method, target, body) == (b"POST", b"/x", b"Hello")
        assert b"admin" not in one.raw
        # Where :authority and host differ granian keeps host alone; nobody behind it sees another one.
        assert one.values(b"x-forwarded-host") == [
            b"b.test" if name == "authority and another host" else b"a.test"
        ]
    assert seen or status == 0 or status >= 400
    assert not any(connection.broken for connection in granian.upstream.connections)


def _send(port: int, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    """The status of the answer, 0 if stream or connection are reset."""
    config = h2_config.H2Configuration(
        client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    connection = h2_connection.H2Connection(config)
    connection.initiate_connection()
    # Encoded beside h2, which would not let all of them through.
    block = hpack.Encoder().encode(headers)
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(connection.data_to_send())
        sock.sendall(_frame(1, 4, block) + _frame(0, 1, body))
        sock.settimeout(2)
        return _status(sock)


def _frame(kind: int, flags: int, payload: bytes) -> bytes:
    """A frame on stream 1 (RFC 9113 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + (1).to_bytes(4, "big") + payload


def _status(sock: socket.socket) -> int:
    decoder, data = hpack.Decoder(), b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := sock.recv(65536):
            data += part
            while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
                length, kind = int.from_bytes(data[:3], "big"), data[3]
                payload, data = data[9 : 9 + length], data[9 + length :]
                if kind in (3, 7):  # RST_STREAM, GOAWAY
                    return 0
                if kind == 1:
                    return int(dict(decoder.decode(payload))[":status"])
    return 0
