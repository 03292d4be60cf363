"""The ASGI door under each supported server, as a real process: the same behaviour, the same refusals.

What servers change before the gateway sees it is in `docs/doors.md`; `EXCEPTIONS` pins it here.
"""

from __future__ import annotations

import json
import signal
import socket
import time

import httpx
import pytest

from proxy.config.snapshot import Limits, Policy
from proxy.telemetry.record import CLIENT_ABORT, UPSTREAM_ERROR
from proxy.telemetry.status import READY, STOPPED, read_all
from tests.conformance.client import Client
from tests.gateway.doors import SERVERS, Caller, Gateway, GatewayFactory, snapshot, wait_until
from tests.upstreams import Service, answer, cut, flood, hang, pattern, stream


@pytest.fixture(params=SERVERS)
def running(request: pytest.FixtureRequest, gateway: GatewayFactory, upstream: Service) -> Gateway:
    """One open route, one server after the other."""
    upstream.forget()
    return gateway(str(request.param), snapshot(upstream.port, limits=Limits(body_bytes=8 << 20)))


def test_a_body_and_its_echo(running: Gateway) -> None:
    body = pattern(3 << 20)
    got = httpx.post(running.url + "/a%20b?x=%2f&x=2", content=body, headers={"x-a": "1"})
    seen = got.json()
    assert (seen["method"], seen["target"], seen["length"]) == ("POST", "/a%20b?x=%2f&x=2", len(body))
    assert ["x-a", "1"] in seen["headers"]
    record = running.record_of(got.headers["x-request-id"])
    assert (record.bytes_in, record.status, record.client_ip) == (len(body), 200, "127.0.0.1")


def test_chunked_both_ways(running: Gateway, upstream: Service) -> None:
    upstream.on("/big", flood(2 << 20, chunked=True))
    assert httpx.get(running.url + "/big").content == pattern(2 << 20)
    seen = httpx.post(running.url + "/c", content=iter([b"one", b"two"])).json()
    assert (seen["length"], seen["body"]) == (6, "onetwo")


@pytest.mark.parametrize("status", [204, 304])
def test_no_body(running: Gateway, upstream: Service, status: int) -> None:
    upstream.on("/none", answer(b'HTTP/1.1 %d X\r\netag: "x"\r\n\r\n' % status))
    with Client(running.port) as client:
        for _ in range(2):
            client.send(b"GET /none HTTP/1.1\r\nhost: a.test\r\n\r\n")
            assert client.read().status == status


def test_head(running: Gateway, upstream: Service) -> None:
    upstream.on("/head", answer(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n"))
    with Client(running.port) as client:
        for _ in range(2):
            client.send(b"HEAD /head HTTP/1.1\r\nhost: a.test\r\n\r\n")
            assert client.read(b"HEAD").get(b"content-length") == b"1234"


def test_events_one_by_one(running: Gateway, upstream: Service) -> None:
    gates = [upstream.gate() for _ in range(3)]
    upstream.on("/sse", stream([part for gate in gates for part in (gate, b"data: tick\n\n")]))
    with httpx.stream("GET", running.url + "/sse", timeout=10) as got:
        events = got.iter_raw()
        for gate in gates:
            started = time.monotonic()
            gate.open()
            assert next(events) == b"data: tick\n\n"
            assert time.monotonic() - started < 2


def test_a_client_that_leaves(running: Gateway, upstream: Service) -> None:
    upstream.on("/wait", hang())
    with running.connect() as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nhost: a.test\r\n\r\n")
        wait_until(lambda: upstream.of("/wait"), "the call")
    assert upstream.of("/wait")[-1].gone.wait(5)
    (record,) = running.new_records()
    assert (record.state, record.code) == (CLIENT_ABORT, "client-gone")


@pytest.mark.parametrize("framing", [b"content-length: 1000", b"transfer-encoding: chunked"])
def test_a_part_is_not_taken_for_the_whole(running: Gateway, upstream: Service, framing: bytes) -> None:
    part = b"half of it" if b"length" in framing else b"a\r\nhalf of it\r\n"
    upstream.on("/cut", cut(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (framing, part)))
    with Client(running.port, 2.0) as client:
        client.send(b"GET /cut HTTP/1.1\r\nhost: a.test\r\n\r\n")
        # daphne leaves the connection open; no server ends the body as if it were complete
        with pytest.raises(TimeoutError if running.door == "daphne" else EOFError):
            client.read()
    (record,) = running.new_records()
    assert record.state == UPSTREAM_ERROR


def test_keys(gateway: GatewayFactory, upstream: Service) -> None:
    for door in SERVERS:
        config = snapshot(upstream.port, policies=(Policy("key-auth", "key"),))
        running = gateway(door, config, callers=(Caller("bob"),))
        assert httpx.get(running.url + "/x").status_code == 401
        got = httpx.get(running.url + "/x", headers={"x-api-key": running.keys["bob"]})
        assert got.status_code == 200
        assert running.record_of(got.headers["x-request-id"]).app == "bob"


HOST = b"host: a.test\r\n"
CASES = {
    "cl-and-te": b"POST /s HTTP/1.1\r\n"
    + HOST
    + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-in-1.0": b"POST /s HTTP/1.0\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-comma": b"POST /s HTTP/1.1\r\n" + HOST + b"transfer-encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "te-twice": b"POST /s HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "te-other": b"POST /s HTTP/1.1\r\n" + HOST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "cl-list": b"POST /s HTTP/1.1\r\n" + HOST + b"content-length: 1, 1\r\n\r\nx",
    "cl-twice": b"POST /s HTTP/1.1\r\n" + HOST + b"content-length: 1\r\n" * 2 + b"\r\nx",
    "cl-plus": b"POST /s HTTP/1.1\r\n" + HOST + b"content-length: +1\r\n\r\nx",
    "host-twice": b"GET /s HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
    "host-none": b"GET /s HTTP/1.1\r\n\r\n",
    "host-bad": b"GET /s HTTP/1.1\r\nhost: a.test/x\r\n\r\n",
    "underscore": b"GET /s HTTP/1.1\r\n" + HOST + b"x_consumer_id: 1\r\n\r\n",
    "absolute-other": b"GET http://evil.test:9/s HTTP/1.1\r\n" + HOST + b"\r\n",
    "no-slash": b"GET s HTTP/1.1\r\n" + HOST + b"\r\n",
    "at": b"GET @evil.test/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /s#/../a HTTP/1.1\r\n" + HOST + b"\r\n",
    "dots-up": b"GET /../../s HTTP/1.1\r\n" + HOST + b"\r\n",
    "nul-in-path": b"GET /s%00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "bad-escape": b"GET /s%zz HTTP/1.1\r\n" + HOST + b"\r\n",
    "method-lower": b"get /s HTTP/1.1\r\n" + HOST + b"\r\n",
    "method-connect": b"CONNECT a.test:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "method-trace": b"TRACE /s HTTP/1.1\r\n" + HOST + b"\r\n",
    "space-before-colon": b"POST /s HTTP/1.1\r\n" + HOST + b"content-length : 1\r\n\r\nx",
    "obs-fold": b"GET /s HTTP/1.1\r\n" + HOST + b"x-a: 1\r\n 2\r\n\r\n",
    "nul-in-value": b"GET /s HTTP/1.1\r\n" + HOST + b"x-a: a\0b\r\n\r\n",
    "chunk-0x": b"POST /s HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk-extension-cr": b"POST /s HTTP/1.1\r\n"
    + HOST
    + b"transfer-encoding: chunked\r\n\r\n1;a\rb\r\na\r\n0\r\n\r\n",
    "version-1.32": b"GET /s HTTP/1.32\r\n" + HOST + b"\r\n",
}
EXCEPTIONS: dict[str, set[str]] = {
    "cl-and-te": {"granian"},
    "cl-twice": {"granian", "uvicorn-h11"},
    "cl-list": {"uvicorn-h11"},
    "absolute-other": {"granian", "uvicorn-httptools"},
    "fragment": {"granian", "uvicorn-httptools"},
    "obs-fold": {"uvicorn-h11", "daphne"},
    "chunk-extension-cr": {"uvicorn-h11"},
    "underscore": {"daphne"},
}
"""By case, the servers that make something harmless of it before the gateway can see it."""


@pytest.mark.parametrize("case", CASES)
def test_what_is_ambiguous_is_refused(running: Gateway, upstream: Service, case: str) -> None:
    before = len(upstream.calls)
    with running.connect(3.0) as sock:
        sock.sendall(CASES[case])
        try:
            status = sock.recv(65_536)[:12]
        except (ConnectionResetError, TimeoutError):
            status = b""
    accepted = status[9:10] in (b"2", b"")
    if running.door in EXCEPTIONS.get(case, set()):
        for call in upstream.calls[before:]:
            assert harmless(call.raw, case), bytes(call.raw)
        return
    assert not accepted, (status, [bytes(call.raw) for call in upstream.calls[before:]])
    assert status[9:10] in (b"4", b"5")
    assert not [call for call in upstream.calls[before:] if call.complete.is_set()]


def harmless(raw: bytearray, case: str) -> bool:
    """What an accepted request must look like upstream: one reading only."""
    text = bytes(raw).lower()
    return (
        not (b"content-length" in text and b"transfer-encoding" in text)
        and text.count(b"\r\nhost:") == 1
        and b"x_consumer" not in text
        and b"evil" not in text
        and b"#" not in text
    )


def test_clean_end(gateway: GatewayFactory, upstream: Service) -> None:
    for door in SERVERS:
        running = gateway(door, snapshot(upstream.port), fresh=True)
        assert [worker.state for worker in read_all(running.node.workers)] == [READY]
        assert httpx.get(running.url + "/x").status_code == 200
        running.stop()
        assert [worker.state for worker in read_all(running.node.workers)] == [STOPPED], door
        assert [path.suffix for path in running.node.spool.iterdir() if path.suffix != ".blank"] == [
            ".seg"
        ], door


def test_requests_under_way_end_first(gateway: GatewayFactory, upstream: Service) -> None:
    for door in ("granian", "uvicorn-h11"):
        gate = upstream.gate()
        upstream.on("/end", hang(gate))
        running = gateway(door, snapshot(upstream.port), fresh=True)
        with Client(running.port) as client:
            before = len(upstream.of("/end"))
            client.send(b"GET /end HTTP/1.1\r\nhost: a.test\r\n\r\n")
            wait_until(lambda before=before: len(upstream.of("/end")) > before, "the call")
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            gate.open()
            assert client.read().body == b"freed"
        running.stop()


def test_two_workers_take_two_slots(gateway: GatewayFactory, upstream: Service) -> None:
    running = gateway("granian", snapshot(upstream.port), fresh=True, environment={"GRANIAN_WORKERS": "2"})
    wait_until(lambda: sum(w.ready for w in read_all(running.node.workers)) == 2, "two workers")
    assert [worker.slot for worker in read_all(running.node.workers)] == [100, 101]
    running.stop()


def test_no_node_directory(gateway: GatewayFactory, upstream: Service) -> None:
    with pytest.raises(AssertionError, match="did not start"):
        gateway(
            "uvicorn-h11", snapshot(upstream.port), fresh=True, environment={"TIDEGATE_NODE_DIR": "/dev/null"}
        )


# -- HTTP/2


@pytest.fixture
def http2(gateway: GatewayFactory, upstream: Service) -> Gateway:
    """Granian; HTTP/2 without TLS by prior knowledge (RFC 9113 3.3)."""
    upstream.forget()
    return gateway("granian", snapshot(upstream.port, limits=Limits(body_bytes=8 << 20)))


def client2(timeout: float = 10.0) -> httpx.Client:
    """A client that speaks nothing but HTTP/2."""
    return httpx.Client(http1=False, http2=True, timeout=timeout)


def test_http2(http2: Gateway, upstream: Service) -> None:
    lines = (
        b"connection: x-hop\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"
    )
    upstream.on("/h2", answer(b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 2\r\n\r\nok"))
    with client2() as client:
        got = client.get(http2.url + "/h2?a=%20", headers=[("cookie", "a=1"), ("cookie", "b=2")])
    assert (got.http_version, got.status_code, got.text) == ("HTTP/2", 200, "ok")
    assert got.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert not {"connection", "keep-alive", "transfer-encoding", "x-hop"} & set(got.headers)
    call = upstream.last("/h2")
    assert call.target == b"/h2?a=%20"
    assert call.get(b"cookie") == b"a=1; b=2"
    assert (
        call.get(b"x-forwarded-host") == http2.url.removeprefix("https://").removeprefix("http://").encode()
    )
    record = http2.record_of(got.headers["x-request-id"])
    assert (record.protocol, record.host) == ("HTTP/2", "127.0.0.1")


def test_http2_bodies(http2: Gateway, upstream: Service) -> None:
    body = pattern(3 << 20)
    with client2(30) as client:
        seen = client.post(http2.url + "/up", content=body).json()
        assert seen["length"] == len(body)
        streamed = client.post(http2.url + "/up", content=iter([b"one", b"two"])).json()
        assert (streamed["length"], streamed["body"]) == (6, "onetwo")
        assert ["transfer-encoding", "chunked"] in streamed["headers"]
        deleted = client.request("DELETE", http2.url + "/up").json()
        assert (deleted["length"], deleted["method"]) == (0, "DELETE")
        assert not {"transfer-encoding", "content-length"} & {name for name, _ in deleted["headers"]}
        query = client.request("QUERY", http2.url + "/up", content=iter([b"what"])).json()
        assert query["body"] == "what"
        upstream.on("/down", flood(2 << 20, chunked=True))
        assert client.get(http2.url + "/down").content == pattern(2 << 20)


def test_http2_part_is_not_taken_for_the_whole(http2: Gateway, upstream: Service) -> None:
    upstream.on("/cut", cut(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhalf of it\r\n"))
    with client2() as client, pytest.raises(httpx.HTTPError):
        client.get(http2.url + "/cut")


def test_http2_many_at_once(http2: Gateway) -> None:
    sock = socket.create_connection((http2.host, http2.port))
    sock.close()
    with client2() as client:
        for number in range(20):
            assert json.loads(client.get(f"{http2.url}/n{number}").text)["target"] == f"/n{number}"
