"""WebSockets through each door: the same pipeline before the handshake, the same limits after it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import ClientConnection, connect

from proxy.config.snapshot import Limits, Policy, Snapshot
from proxy.telemetry.record import CLIENT_ABORT, OK, REJECTED, TIMEOUT, UPSTREAM_ERROR, TrafficRecord
from tests.gateway.doors import Caller, Gateway, GatewayFactory, snapshot, wait_until
from tests.gateway.websocket_peers import EchoServer, RawPeer, RawUpstream, handshake, raw_upstream, switching

DOORS = ("native", "granian", "uvicorn-httptools")
ASGI = DOORS[1:]
LIMIT = 64 * 1024
LIMITS = Limits(websocket_message_bytes=LIMIT, drain_timeout=5.0)
IMPATIENT = Limits(websocket_ping_interval=0.3, websocket_ping_timeout=0.5)
every_door = pytest.mark.parametrize("door", DOORS)


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture(scope="module")
def listening() -> Iterator[RawUpstream]:
    with raw_upstream() as upstream:
        yield upstream


@pytest.fixture
def raw(listening: RawUpstream) -> Iterator[RawUpstream]:
    """The upstream of the module; each test finds it without connections."""
    yield listening
    listening.hang_up()


_clients: list[RawPeer] = []


@pytest.fixture(autouse=True)
def no_client_left_over() -> Iterator[None]:
    yield
    while _clients:
        _clients.pop().close()


def limited(port: int, **parts: object) -> Snapshot:
    return snapshot(port, **({"limits": LIMITS} | parts))  # type: ignore[arg-type]


def open_socket(running: Gateway, path: str = "/echo", **options: object) -> ClientConnection:
    url = f"ws://{running.host}:{running.port}{path}"
    return connect(url, proxy=None, compression=None, max_size=None, **options)  # type: ignore[arg-type]


def raw_client(running: Gateway, request: bytes = b"", *, expect: bytes = b"HTTP/1.1 101 ") -> RawPeer:
    """A raw client; with a request it is sent and the head of its answer read."""
    peer = RawPeer(running.connect(), masks=True)
    _clients.append(peer)
    if request:
        peer.sock.sendall(request)
        head = peer.read_head()
        assert head.startswith(expect), head
    return peer


def only(running: Gateway) -> TrafficRecord:
    (record,) = running.new_records(1)
    return record


# -- what passes


@every_door
def test_messages_pass_both_ways(gateway: GatewayFactory, echo: EchoServer, door: str) -> None:
    running = gateway(door, limited(echo.port))
    with open_socket(running) as client:
        for message in ("", "héllo", b"", b"\0\xff" * 9, "x" * 126, b"y" * 65535, b"z" * LIMIT):
            client.send(message)
            assert client.recv(timeout=5) == message
        client.send(iter(["in ", "three ", "parts"]))
        assert client.recv(timeout=5) == "in three parts"
        assert client.ping().wait(5)
    record = only(running)
    assert (record.status, record.state, record.code, record.method) == (101, OK, "", "GET")
    assert record.bytes_in >= LIMIT + 65535
    assert record.bytes_out >= LIMIT + 65535


def test_the_native_door_counts_every_byte(gateway: GatewayFactory, raw: RawUpstream) -> None:
    running = gateway("native", limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    client.send(Opcode.TEXT, b"12345")
    assert upstream.read_frame() == (Opcode.TEXT, b"12345")
    upstream.send(Opcode.BINARY, b"x" * 1000)
    assert client.read_frame() == (Opcode.BINARY, b"x" * 1000)
    client.close_frame()
    assert upstream.read_close() == 1000
    upstream.close_frame()
    assert client.read_close() == 1000
    assert client.ended() and upstream.ended()
    record = only(running)
    assert (record.bytes_in, record.bytes_out) == (11 + 8, 1004 + 4)
    assert (record.state, record.code) == (OK, "")


@every_door
def test_the_upstream_sees_the_callers_handshake_without_extensions(
    gateway: GatewayFactory, echo: EchoServer, door: str
) -> None:
    running = gateway(door, limited(echo.port))
    url = f"ws://{running.host}:{running.port}/headers?a=1"
    with connect(url, proxy=None, additional_headers={"X-Mine": "1"}) as client:
        if not door.startswith("uvicorn"):  # which decompresses itself
            assert client.protocol.extensions == []
        headers = {name.lower(): value for name, value in json.loads(client.recv(timeout=5))}
    assert headers["x-mine"] == "1"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["upgrade"] == "websocket"
    assert "sec-websocket-extensions" not in headers


@every_door
def test_subprotocols(gateway: GatewayFactory, echo: EchoServer, door: str) -> None:
    running = gateway(door, limited(echo.port))
    with open_socket(running, subprotocols=["nothing", "v2"]) as client:
        assert client.subprotocol == "v2"
    with open_socket(running) as client:
        assert client.subprotocol is None


@every_door
def test_close_codes_pass_both_ways(
    gateway: GatewayFactory, raw: RawUpstream, echo: EchoServer, door: str
) -> None:
    with open_socket(gateway(door, limited(echo.port)), "/close") as client:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert (client.close_code, client.close_reason) == (4003, "not today")
    running = gateway(door, limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    client.close_frame(4999)
    assert upstream.read_close() == 4999
    upstream.close_frame(4999)
    assert client.read_close() == 4999
    assert client.ended()
    record = only(running)
    assert (record.state, record.code) == (OK, "")


@every_door
def test_a_slow_client_holds_the_upstream_back(gateway: GatewayFactory, echo: EchoServer, door: str) -> None:
    running = gateway(door, limited(echo.port))
    with open_socket(running, "/flood", max_queue=1) as client:
        time.sleep(0.3)
        received = [client.recv(timeout=5) for _ in range(64)]
    assert [(len(message), message[0]) for message in received] == [(65536, number) for number in range(64)]


# -- before the upgrade


@every_door
def test_a_key_is_asked_for_before_the_upgrade(gateway: GatewayFactory, echo: EchoServer, door: str) -> None:
    config = limited(echo.port, policies=(Policy("key-auth", "key"),))
    running = gateway(door, config, callers=(Caller("bob"),))
    with pytest.raises(InvalidStatus) as refused:
        open_socket(running)
    assert refused.value.response.status_code == 401
    record = only(running)
    assert (record.status, record.code, record.policy) == (401, "key-missing", "key")
    with open_socket(running, additional_headers={"x-api-key": running.keys["bob"]}) as client:
        client.send("in")
        assert client.recv(timeout=5) == "in"
    assert only(running).app == "bob"


@every_door
def test_handshakes_are_rate_limited(gateway: GatewayFactory, echo: EchoServer, door: str) -> None:
    limit = Policy("rate-limit", "limit", config={"limits": [{"amount": 2}], "by": "ip"})
    running = gateway(door, limited(echo.port, policies=(limit,)), fresh=True)
    for _ in range(2):
        with open_socket(running):
            pass
    with pytest.raises(InvalidStatus) as refused:
        open_socket(running)
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers.get("retry-after")


@every_door
def test_a_route_may_refuse_websockets(gateway: GatewayFactory, echo: EchoServer, door: str) -> None:
    running = gateway(door, limited(echo.port, route={"websocket": False}))
    with pytest.raises(InvalidStatus) as refused:
        open_socket(running)
    assert refused.value.response.status_code == 403
    assert only(running).code == "websocket-not-allowed"


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (handshake(sec_websocket_key=None), 400, "bad-handshake"),
        (handshake(sec_websocket_key=b"short"), 400, "bad-handshake"),
        (handshake(sec_websocket_key=b"!" * 24), 400, "bad-handshake"),
        (handshake(sec_websocket_key=b"A" * 24), 400, "bad-handshake"),
        (handshake(x=b"1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="), 400, "bad-handshake"),
        (handshake(sec_websocket_version=b"8"), 426, "websocket-version"),
        (handshake(sec_websocket_version=None), 426, "websocket-version"),
        (handshake(sec_websocket_protocol=b"\x80\xff"), 400, "bad-handshake"),
        (handshake(sec_websocket_protocol=b"a b"), 400, "bad-handshake"),
        (handshake(content_length=b"2") + b"hi", 400, "bad-handshake"),
        (handshake(transfer_encoding=b"chunked") + b"0\r\n\r\n", 400, "bad-handshake"),
    ],
)
def test_malformed_handshakes(
    gateway: GatewayFactory, echo: EchoServer, request_bytes: bytes, status: int, code: str
) -> None:
    running = gateway("native", limited(echo.port))
    client = raw_client(running, request_bytes, expect=b"HTTP/1.1 %d " % status)
    assert b"connection: close" in client.head.lower()
    if status == 426:
        assert b"sec-websocket-version: 13" in client.head.lower()
    record = only(running)
    assert (record.code, record.tries) == (code, 0)
    client.close()


@pytest.mark.parametrize("door", ASGI)
def test_bytes_in_the_subprotocol_kill_no_worker(
    gateway: GatewayFactory, echo: EchoServer, door: str
) -> None:
    """CVE-2026-42544."""
    running = gateway(door, limited(echo.port))
    pid = running.pid
    client = raw_client(running)
    client.sock.sendall(handshake(sec_websocket_protocol=b"\x80\xff"))
    assert not client.sock.recv(65536).startswith(b"HTTP/1.1 101 ")
    client.close()
    with open_socket(running) as good:
        good.send("alive")
        assert good.recv(timeout=5) == "alive"
    assert running.pid == pid


@every_door
@pytest.mark.parametrize("flaw", ["accept", "protocol"])
def test_an_upstream_that_answers_another_handshake(
    gateway: GatewayFactory, raw: RawUpstream, door: str, flaw: str
) -> None:
    running = gateway(door, limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.accept()
    changes = {"sec_websocket_accept": b"x"} if flaw == "accept" else {"sec_websocket_protocol": b"mine"}
    upstream.sock.sendall(switching(upstream.head, **changes))
    assert client.read_head().startswith(b"HTTP/1.1 502 ")
    assert upstream.ended()
    record = only(running)
    assert (record.status, record.code) == (502, "upstream-protocol-error")


def test_an_upstream_that_answers_200_leaves_http_as_it_is(gateway: GatewayFactory, raw: RawUpstream) -> None:
    """CVE-2026-2833: what was pipelined behind the upgrade is a request of its own, and so policed."""
    running = gateway("native", limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake() + b"GET /second HTTP/1.1\r\nhost: api.test\r\n\r\n")
    upstream = raw.accept()
    assert b"/second" not in upstream.head
    upstream.sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client._exactly(2) == b"ok"
    assert upstream.read_head().startswith(b"GET /second HTTP/1.1")
    upstream.sock.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 204 ")
    assert sorted(record.path for record in running.new_records(2)) == ["/echo", "/second"]
    client.close()


def test_what_is_sent_ahead_is_tunnelled_after_the_101_only(
    gateway: GatewayFactory, raw: RawUpstream
) -> None:
    running = gateway("native", limited(raw.port))
    client = raw_client(running)
    ahead = b"\x81\x82\0\0\0\0hi"
    client.sock.sendall(handshake() + ahead)
    upstream = raw.accept()
    upstream.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        upstream.sock.recv(1)
    upstream.sock.settimeout(5)
    upstream.sock.sendall(switching(upstream.head) + b"\x81\x02yo")
    assert client.read_head().startswith(b"HTTP/1.1 101 ")
    assert client.read_frame() == (Opcode.TEXT, b"yo")
    assert upstream.read_frame() == (Opcode.TEXT, b"hi")
    client.close()
    upstream.read_close()


@pytest.mark.parametrize("door", ASGI)
def test_an_answer_other_than_101_is_passed_on(gateway: GatewayFactory, raw: RawUpstream, door: str) -> None:
    running = gateway(door, limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.accept()
    upstream.sock.sendall(
        b"HTTP/1.1 404 Not Found\r\nconnection: close\r\nx-why: none\r\ncontent-length: 4\r\n\r\nnone"
    )
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 404 ") and b"x-why: none" in head.lower()
    assert only(running).status == 404
    client.close()


# -- limits and broken frames


@every_door
@pytest.mark.parametrize("fragmented", [False, True])
def test_messages_that_are_too_large(
    gateway: GatewayFactory, echo: EchoServer, door: str, fragmented: bool
) -> None:
    running = gateway(door, limited(echo.port))
    with open_socket(running) as client:
        with pytest.raises(ConnectionClosed):  # the Close may be there before the last fragment is sent
            client.send(iter([b"x" * 40_000, b"x" * 40_000]) if fragmented else b"x" * (LIMIT + 1))
            client.recv(timeout=5)
        assert client.close_code == 1009
    record = only(running)
    assert (record.state, record.code) == (REJECTED, "websocket-message-too-large")


@every_door
def test_the_upstream_keeps_the_limit_too(gateway: GatewayFactory, echo: EchoServer, door: str) -> None:
    running = gateway(door, limited(echo.port))
    with open_socket(running, "/big") as client:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 1009
    record = only(running)
    assert (record.state, record.code) == (UPSTREAM_ERROR, "websocket-message-too-large")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x82\xff" + (1 << 63).to_bytes(8, "big"), 1009),
        (b"\x81\x02hi", 1002),
        (b"\xc1\x82\0\0\0\0hi", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x09\x80\0\0\0\0", 1002),
        (b"\x80\x81\0\0\0\0x", 1002),
    ],
)
def test_bad_frames_close_both_sides(
    gateway: GatewayFactory, raw: RawUpstream, frame: bytes, code: int
) -> None:
    running = gateway("native", limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    client.sock.sendall(frame)
    assert client.read_close() == code
    assert client.ended()
    assert upstream.read_close() == code
    upstream.close_frame(code)
    assert upstream.ended()
    client.close()
    assert only(running).state == REJECTED


@every_door
def test_a_masked_frame_of_the_upstream(gateway: GatewayFactory, raw: RawUpstream, door: str) -> None:
    running = gateway(door, limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    upstream.sock.sendall(b"\x81\x82\0\0\0\0hi")
    assert client.read_close() == 1002
    client.close_frame(1002)
    assert upstream.read_close() == 1002
    client.close()
    upstream.close()
    record = only(running)
    assert (record.state, record.code) == (UPSTREAM_ERROR, "websocket-protocol-error")


@pytest.mark.parametrize("door", ASGI)
def test_text_that_is_not_utf8_from_the_upstream(
    gateway: GatewayFactory, echo: EchoServer, door: str
) -> None:
    running = gateway(door, limited(echo.port))
    with open_socket(running, "/bad-text") as client:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert client.close_code == 1007


def test_a_thousand_pings_pass(gateway: GatewayFactory, echo: EchoServer) -> None:
    running = gateway("native", limited(echo.port))
    client = raw_client(running, handshake())
    for _ in range(1000):
        client.send(Opcode.PING, b"again")
    assert {client.read_frame() for _ in range(1000)} == {(Opcode.PONG, b"again")}
    client.close()


# -- ends


@every_door
def test_the_upstream_dies(gateway: GatewayFactory, raw: RawUpstream, door: str) -> None:
    running = gateway(door, limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    upstream.close()
    assert client.read_close() == 1011
    client.close_frame(1011)
    assert client.ended()
    record = only(running)
    assert (record.status, record.state, record.code) == (101, UPSTREAM_ERROR, "upstream-connection-lost")


def test_the_upstream_dies_within_a_frame(gateway: GatewayFactory, raw: RawUpstream) -> None:
    """A Close frame would be taken for the rest of the frame: there can be none."""
    running = gateway("native", limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    upstream.sock.sendall(b"\x82\x7e\x10\x00partial")
    upstream.close()
    with pytest.raises(EOFError) as end:
        client.read_frame()
    assert end.value.args == (b"partial",)
    client.close()
    assert only(running).code == "upstream-connection-lost"


@every_door
def test_the_client_dies(gateway: GatewayFactory, raw: RawUpstream, door: str) -> None:
    running = gateway(door, limited(raw.port))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    client.close()
    assert upstream.read_close() in (1001, 1006, 1011)
    upstream.close_frame()
    assert upstream.ended()
    record = only(running)
    assert (record.status, record.state, record.code) == (101, CLIENT_ABORT, "client-gone")


def test_both_sides_are_pinged_and_pongs_swallowed(gateway: GatewayFactory, raw: RawUpstream) -> None:
    running = gateway("native", limited(raw.port, limits=IMPATIENT))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    pings = [peer.read_frame() for peer in (client, upstream)]
    assert [opcode for opcode, _ in pings] == [Opcode.PING, Opcode.PING]
    client.send(Opcode.PONG, pings[0][1])
    upstream.send(Opcode.PONG, pings[1][1])
    client.send(Opcode.TEXT, b"after")
    frames = [upstream.read_frame()]
    while frames[-1][0] == Opcode.PING:
        frames.append(upstream.read_frame())
    assert frames[-1] == (Opcode.TEXT, b"after")
    client.close()
    upstream.close()
    only(running)


@pytest.mark.parametrize("silent", ["client", "upstream"])
def test_a_silent_peer_is_given_up(gateway: GatewayFactory, raw: RawUpstream, silent: str) -> None:
    running = gateway("native", limited(raw.port, limits=IMPATIENT))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    other = client if silent == "upstream" else upstream
    while True:
        opcode, data = other.read_frame()
        if opcode == Opcode.CLOSE:
            break
        other.send(Opcode.PONG, data)
    assert int.from_bytes(data[:2], "big") == 1011
    client.close()
    upstream.close()
    record = only(running)
    assert (record.state, record.code) == (TIMEOUT, f"{silent}-ping-timeout")


@pytest.mark.parametrize("door", ASGI)
def test_a_silent_upstream_is_given_up_behind_a_server(
    gateway: GatewayFactory, raw: RawUpstream, door: str
) -> None:
    running = gateway(door, limited(raw.port, limits=IMPATIENT))
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    assert client.read_close() == 1011
    client.close_frame(1011)
    assert upstream.read_frame()[0] == Opcode.PING
    upstream.close()
    assert only(running).code == "upstream-ping-timeout"


@contextmanager
def alone(door: str, config: Snapshot, folder: Path) -> Iterator[Gateway]:
    """A gateway that the test itself stops."""
    running = Gateway(door, config, folder)
    try:
        yield running
    finally:
        running.stop()
        running._socket.close()
        running.state.close()


def test_sigterm_says_1001(raw: RawUpstream, tmp_path: Path) -> None:
    with alone("native", limited(raw.port), tmp_path) as running:
        drained(running, raw)


def drained(running: Gateway, raw: RawUpstream) -> None:
    client = raw_client(running)
    client.sock.sendall(handshake())
    upstream = raw.open()
    client.read_head()
    started = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert client.read_close() == 1001
    client.close_frame(1001)
    assert client.ended()
    assert upstream.read_close() == 1001
    upstream.close_frame(1001)
    assert running.process.wait(5) == 0
    assert time.monotonic() - started < 8
    (record,) = running.records()
    assert (record.status, record.state, record.code) == (101, OK, "draining")


@pytest.mark.parametrize("door", ASGI)
def test_sigterm_closes_what_is_open_behind_a_server(raw: RawUpstream, tmp_path: Path, door: str) -> None:
    with alone(door, limited(raw.port), tmp_path) as running:
        client = raw_client(running)
        client.sock.sendall(handshake())
        upstream = raw.open()
        client.read_head()
        running.process.send_signal(signal.SIGTERM)
        if door == "granian":  # which cuts its clients off
            assert client.ended()
        else:
            assert client.read_close() == 1012
            client.close_frame(1012)
        upstream.read_close()
        upstream.close()
        wait_until(running.records, "the record")
