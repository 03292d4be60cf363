"""What goes through a gateway arrives as it was sent, in both directions, through every door."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest

from proxy.config.snapshot import Limits
from proxy.telemetry.record import CLIENT_ABORT, OK, TIMEOUT, UPSTREAM_ERROR
from tests.conformance.client import Client
from tests.gateway.doors import Gateway, GatewayFactory, snapshot
from tests.upstreams import Service, answer, cut, early, flood, hang, pattern, slow_reader, stream

MEGABYTE = 1 << 20


@pytest.fixture
def running(gateway: GatewayFactory, door: str, upstream: Service) -> Gateway:
    """One open route to the service."""
    upstream.forget()
    return gateway(door, snapshot(upstream.port, limits=Limits(body_bytes=64 * MEGABYTE)))


def raw(running: Gateway, request: bytes, method: bytes = b"GET") -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer to these bytes."""
    with Client(running.port) as client:
        client.send(request)
        found = client.read(method)
    return found.status, {name.lower(): value for name, value in found.headers}, found.body


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY"])
def test_methods_arrive(running: Gateway, method: str) -> None:
    answer = httpx.request(method, running.url + "/m")
    assert answer.json()["method"] == method
    (record,) = running.new_records()
    assert (record.method, record.status, record.state) == (method, 200, OK)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/a//b",
        b"/a/b/",
        b"/caf%C3%A9",
        b"/a%20b+c",
        b"/x;v=1/y,z",
        b"/x?",
        b"/x?a=1&b=2&a=3",
        b"/x?q=%2F%3f&empty=&flag",
        b"/x?a=b?c=/d//e",
        b"/x?%C3%A9=%F0%9F%8C%8A",
        b"/~user/!$&'()*+,;=:@",
    ],
)
def test_path_and_query_arrive_byte_for_byte(running: Gateway, upstream: Service, target: bytes) -> None:
    status, _, body = raw(running, b"GET %b HTTP/1.1\r\nhost: a.test\r\n\r\n" % target)
    assert status == 200
    if target.endswith(b"?") and running.door != "native":
        target = target[:-1]  # an empty query is not told from none in ASGI
    seen = json.loads(body)["target"].encode()
    assert seen == upstream.calls[-1].target
    assert seen in (target, target.replace(b"//", b"/", 1) if target.startswith(b"/a//") else target)


def test_headers_arrive_in_order_with_duplicates(running: Gateway, upstream: Service) -> None:
    lines = [
        b"x-one: 1",
        b"accept: a/b",
        b"x-many: first",
        b"x-many: second",
        b"x-empty:",
        b"x-last: \xe9\xfc",
    ]
    raw(running, b"GET /h HTTP/1.1\r\nhost: a.test\r\n" + b"\r\n".join(lines) + b"\r\n\r\n")
    call = upstream.last("/h")
    names = (b"x-one", b"accept", b"x-many", b"x-empty", b"x-last")
    seen = [name.lower() + b":" + value for name, value in call.headers if name.lower() in names]
    assert seen == [line.replace(b": ", b":") for line in lines]
    assert call.get(b"host") == b"127.0.0.1:%d" % upstream.port


def test_cookies_arrive_and_set_cookies_return(running: Gateway, upstream: Service) -> None:
    cookies = [b"a=1; Path=/", b"b=2; Expires=Wed, 09 Jun 2027 10:18:14 GMT"]
    lines = b"".join(b"set-cookie: %b\r\n" % cookie for cookie in cookies)
    upstream.on("/cookies", answer(b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 0\r\n\r\n"))
    with Client(running.port) as client:
        client.send(b"GET /cookies HTTP/1.1\r\nhost: a.test\r\ncookie: x=1; y=2\r\n\r\n")
        got = client.read()
    assert [value for name, value in got.headers if name.lower() == b"set-cookie"] == cookies
    assert upstream.last("/cookies").get(b"cookie") == b"x=1; y=2"


def test_hop_by_hop_headers_stay_here(running: Gateway, upstream: Service) -> None:
    lines = b"connection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\nx-hop: 1\r\nx-end: 2\r\n"
    upstream.on("/hop", answer(b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 2\r\n\r\nok"))
    request = b"GET /hop HTTP/1.1\r\nhost: a.test\r\nconnection: x-mine\r\nx-mine: 1\r\nte: trailers\r\n\r\n"
    status, headers, body = raw(running, request)
    assert (status, body, headers[b"x-end"]) == (200, b"ok", b"2")
    assert not {b"x-hop", b"keep-alive"} & set(headers)
    call = upstream.last("/hop")
    assert not {b"x-mine", b"te", b"connection"} & {name.lower() for name, _ in call.headers}


@pytest.mark.parametrize("size", [0, 1, 100, 65_536, 3 * MEGABYTE, 20 * MEGABYTE])
def test_request_bodies_stream(running: Gateway, size: int) -> None:
    body = pattern(size)
    seen = httpx.post(running.url + "/up", content=body, timeout=30).json()
    assert (seen["length"], seen["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    (record,) = running.new_records()
    assert record.bytes_in == size


@pytest.mark.parametrize("pieces", [[], [b"a"], [b"hello", b" ", b"world"], [bytes(70_000)] * 40])
def test_chunked_request_bodies(running: Gateway, upstream: Service, pieces: list[bytes]) -> None:
    def parts() -> Iterator[bytes]:
        yield from pieces

    seen = httpx.post(running.url + "/chunked", content=parts(), timeout=30).json()
    whole = b"".join(pieces)
    assert (seen["length"], seen["sha256"]) == (len(whole), hashlib.sha256(whole).hexdigest())
    call = upstream.last("/chunked")
    assert call.get(b"transfer-encoding") == b"chunked"
    assert call.get(b"content-length") is None


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 65_536, 20 * MEGABYTE])
def test_answers_stream(running: Gateway, upstream: Service, size: int, chunked: bool) -> None:
    upstream.on("/down", flood(size, chunked=chunked))
    got = httpx.get(running.url + "/down", timeout=30)
    assert got.content == pattern(size)
    assert chunked or got.headers["content-length"] == str(size)
    (record,) = running.new_records()
    assert (record.bytes_out, record.state) == (size, OK)


def test_a_slow_client_holds_the_upstream_back(running: Gateway, upstream: Service) -> None:
    size = 64 * MEGABYTE
    upstream.on("/held", flood(size))
    before = resident(running.pid)
    with running.connect(30) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sock.sendall(b"GET /held HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")
        time.sleep(0.6)
        call = upstream.of("/held")[-1]
        assert not call.connection.drained.is_set(), "the whole answer was taken from the upstream"
        assert resident(running.pid) - before < 24 * MEGABYTE
        received = 0
        while data := sock.recv(1 << 20):
            received += len(data)
    assert received > size


def test_a_slow_upstream_holds_the_client_back(running: Gateway, upstream: Service) -> None:
    upstream.on("/slow", slow_reader(0.01))
    before = resident(running.pid)
    body = pattern(6 * MEGABYTE)
    got = httpx.post(running.url + "/slow", content=body, timeout=30)
    assert got.content == str(len(body)).encode()
    assert resident(running.pid) - before < 24 * MEGABYTE


def resident(pid: int) -> int:
    """Resident memory of a process in bytes."""
    with open(f"/proc/{pid}/status") as file:
        return int(re.findall(r"VmRSS:\s+(\d+) kB", file.read())[0]) * 1024


def test_head(running: Gateway, upstream: Service) -> None:
    upstream.on("/head", answer(b'HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: "x"\r\n\r\n'))
    with Client(running.port) as client:
        for _ in range(2):  # the connection is still in step afterwards
            client.send(b"HEAD /head HTTP/1.1\r\nhost: a.test\r\n\r\n")
            got = client.read(b"HEAD")
            assert (got.status, got.get(b"content-length"), got.body) == (200, b"1234", b"")
    assert upstream.last("/head").method == b"HEAD"


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(running: Gateway, upstream: Service, status: int) -> None:
    upstream.on("/none", answer(b'HTTP/1.1 %d X\r\netag: "x"\r\n\r\n' % status))
    with Client(running.port) as client:
        for _ in range(2):
            client.send(b"GET /none HTTP/1.1\r\nhost: a.test\r\n\r\n")
            got = client.read()
            assert (got.status, got.get(b"etag")) == (status, b'"x"')
            assert got.get(b"transfer-encoding") is None
            assert got.get(b"content-length") in (None, b"0") if status == 304 else True


def test_a_204_has_no_length(running: Gateway, upstream: Service) -> None:
    # RFC 9110 8.6, also after HEAD.
    upstream.on("/204", answer(b"HTTP/1.1 204 X\r\ncontent-length: 5\r\n\r\n"))
    for method in (b"GET", b"HEAD"):
        status, headers, _ = raw(running, method + b" /204 HTTP/1.1\r\nhost: a.test\r\n\r\n", method)
        assert (status, headers.get(b"content-length")) == (204, None)


@pytest.mark.parametrize("line", [b"content-length: 0\r\n", b""])
def test_a_post_without_a_body_says_so(running: Gateway, upstream: Service, line: bytes) -> None:
    # RFC 9110 8.6; many servers answer 411 otherwise.
    for method in (b"POST", b"PUT", b"PATCH"):
        raw(running, method + b" /none-to-send HTTP/1.1\r\nhost: a.test\r\n" + line + b"\r\n")
        assert upstream.last("/none-to-send").get(b"content-length") == b"0"
    raw(running, b"GET /none-to-send HTTP/1.1\r\nhost: a.test\r\n\r\n")
    assert upstream.last("/none-to-send").get(b"content-length") is None


def test_bodies_without_a_minimum_rate(gateway: GatewayFactory, door: str, upstream: Service) -> None:
    started = gateway(door, snapshot(upstream.port, limits=Limits(body_min_rate=0)))
    with Client(started.port) as client:
        client.send(b"POST /two-parts HTTP/1.1\r\nhost: a.test\r\ncontent-length: 8\r\n\r\n")
        for part in (b"half", b"half"):
            time.sleep(0.1)
            client.send(part)
        assert client.read().status == 200
    assert upstream.last("/two-parts").body == b"halfhalf"


@pytest.mark.parametrize("name", ["first_byte_timeout", "request_timeout"])
def test_a_route_has_times_of_its_own(
    gateway: GatewayFactory, door: str, upstream: Service, name: str
) -> None:
    upstream.on("/late", stream([2.0, b"late"]) if name == "request_timeout" else hang())
    started = gateway(door, snapshot(upstream.port, route={name: 0.5}))
    assert httpx.get(started.url + "/in-time").status_code == 200
    began = time.monotonic()
    if name == "first_byte_timeout":
        assert httpx.get(started.url + "/late").status_code == 504
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(started.url + "/late")
    assert 0.4 < time.monotonic() - began < 1.8
    _, record = started.new_records(2)
    assert (record.state, record.code) == (
        TIMEOUT if name == "first_byte_timeout" else UPSTREAM_ERROR,
        "upstream-timeout",
    )


def test_the_time_of_a_request_counts_from_its_head(
    gateway: GatewayFactory, door: str, upstream: Service
) -> None:
    started = gateway(door, snapshot(upstream.port, route={"request_timeout": 0.5}))
    with Client(started.port) as client:
        client.send(b"POST /slowly HTTP/1.1\r\nhost: a.test\r\ncontent-length: 100\r\n\r\n" + b"x" * 50)
        assert client.read().status == 504


def test_an_answer_until_close(running: Gateway, upstream: Service) -> None:
    upstream.on("/close", answer(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True))
    status, headers, body = raw(running, b"GET /close HTTP/1.1\r\nhost: a.test\r\n\r\n")
    assert (status, body, headers[b"transfer-encoding"]) == (200, b"all of it", b"chunked")


@pytest.mark.parametrize("status", [201, 301, 404, 418, 500, 503, 599])
def test_status_codes_return(running: Gateway, upstream: Service, status: int) -> None:
    upstream.on("/status", answer(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nhi" % status))
    got = httpx.get(running.url + "/status")
    assert (got.status_code, got.content) == (status, b"hi")
    (record,) = running.new_records()
    assert (record.status, record.state) == (status, OK)


def test_events_arrive_one_by_one(running: Gateway, upstream: Service) -> None:
    gates = [upstream.gate() for _ in range(3)]
    upstream.on("/sse", stream([part for gate in gates for part in (gate, b"data: tick\n\n")]))
    with httpx.stream("GET", running.url + "/sse", timeout=10) as got:
        assert got.headers["content-type"] == "text/event-stream"
        events = got.iter_raw()
        for gate in gates:
            started = time.monotonic()
            gate.open()
            assert next(events) == b"data: tick\n\n"
            assert time.monotonic() - started < 2
        assert list(events) == []


def test_a_connection_serves_many_requests(running: Gateway, upstream: Service) -> None:
    with Client(running.port) as client:
        for number in range(20):
            body = b"x" * number
            client.send(
                b"POST /n%d HTTP/1.1\r\nhost: a.test\r\ncontent-length: %d\r\n\r\n" % (number, number) + body
            )
            assert json.loads(client.read().body)["target"] == f"/n{number}"
    assert len({id(call.connection) for call in upstream.calls}) == 1


def test_pipelined_requests_are_answered_in_order(running: Gateway, upstream: Service) -> None:
    gate = upstream.gate()
    upstream.on("/first", hang(gate))
    with Client(running.port) as client:
        client.send(
            b"GET /first HTTP/1.1\r\nhost: a.test\r\n\r\nGET /second HTTP/1.1\r\nhost: a.test\r\n\r\n"
            b"POST /third HTTP/1.1\r\nhost: a.test\r\ncontent-length: 2\r\n\r\nhi"
        )
        gate.open()
        assert client.read().body == b"freed"
        assert json.loads(client.read().body)["target"] == "/second"
        assert json.loads(client.read().body)["length"] == 2


def test_http_1_0_gets_a_closed_connection(running: Gateway, upstream: Service) -> None:
    upstream.on("/old", answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"))
    with running.connect() as sock:
        sock.sendall(b"GET /old HTTP/1.0\r\nhost: a.test\r\n\r\n")
        got = b""
        while data := sock.recv(65_536):
            got += data
    head, _, body = got.partition(b"\r\n\r\n")
    assert body == b"hi"
    assert b"chunked" not in head.lower()
    (record,) = running.new_records()
    assert record.protocol == "HTTP/1.0"


@pytest.mark.parametrize("door", ["native"])
def test_early_hints_are_passed_on(running: Gateway, upstream: Service) -> None:
    upstream.on(
        "/hints",
        answer(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        ),
    )
    with Client(running.port) as client:
        client.send(b"GET /hints HTTP/1.1\r\nhost: a.test\r\n\r\n")
        hints = client.read()
        assert (hints.status, hints.get(b"link")) == (103, b"</a.css>; rel=preload")
        assert client.read().body == b"ok"


@pytest.mark.parametrize("door", ["granian"])
def test_early_hints_do_not_disturb(running: Gateway, upstream: Service) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
    upstream.on("/hints", answer(hints + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))
    assert httpx.get(running.url + "/hints").content == b"ok"


def test_expect_continue(running: Gateway, upstream: Service) -> None:
    with Client(running.port) as client:
        client.send(
            b"POST /expect HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n"
        )
        assert client.read().status == 100
        client.send(b"body")
        got = client.read()
    assert json.loads(got.body)["length"] == 4
    assert upstream.last("/expect").get(b"expect") is None


def test_expect_continue_is_not_met_for_a_refused_request(
    gateway: GatewayFactory, door: str, upstream: Service
) -> None:
    running = gateway(door, snapshot(upstream.port, limits=Limits(body_bytes=10)))
    with Client(running.port) as client:
        client.send(
            b"POST /big HTTP/1.1\r\nhost: a.test\r\ncontent-length: 11\r\nexpect: 100-continue\r\n\r\n"
        )
        got = client.read()
        assert (got.status, got.code) == (413, "body-too-large")


def test_a_body_over_the_limit_is_cut_off(gateway: GatewayFactory, door: str, upstream: Service) -> None:
    running = gateway(door, snapshot(upstream.port, limits=Limits(body_bytes=100_000)))
    with Client(running.port) as client:
        client.send(b"POST /big HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n")
        client.send(b"".join(b"2710\r\n" + bytes(10_000) + b"\r\n" for _ in range(11)))
        got = client.read()
        assert (got.status, got.code) == (413, "body-too-large")
    (record,) = running.new_records()
    assert (record.code, record.status) == ("body-too-large", 413)


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_client_that_leaves_ends_the_call(running: Gateway, upstream: Service, how: str) -> None:
    upstream.on("/wait", hang())
    with running.connect() as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nhost: a.test\r\n\r\n")
        wait_for_call(upstream, "/wait")
        if how == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert upstream.of("/wait")[-1].gone.wait(5), "the upstream was left to work for nobody"
    (record,) = running.new_records()
    assert (record.state, record.status, record.code) == (CLIENT_ABORT, 0, "client-gone")


def test_a_client_that_leaves_during_the_answer(running: Gateway, upstream: Service) -> None:
    upstream.on("/endless", stream([b"data: 1\n\n", *([0.05, b"data: more\n\n"] * 200)]))
    with running.connect() as sock:
        sock.sendall(b"GET /endless HTTP/1.1\r\nhost: a.test\r\n\r\n")
        assert b"200" in sock.recv(4096)
    assert upstream.of("/endless")[-1].gone.wait(5)
    (record,) = running.new_records()
    assert (record.state, record.status) == (CLIENT_ABORT, 200)


def test_a_client_that_leaves_during_its_body(running: Gateway, upstream: Service) -> None:
    with running.connect() as sock:
        sock.sendall(b"POST /half HTTP/1.1\r\nhost: a.test\r\ncontent-length: 100\r\n\r\nhalf")
        wait_for_call(upstream, "/half")
    call = upstream.of("/half")[-1]
    assert call.gone.wait(5)
    assert not call.complete.is_set()
    (record,) = running.new_records()
    assert record.state == CLIENT_ABORT


def wait_for_call(upstream: Service, path: str) -> None:
    """Until the service has the head of a request."""
    end = time.monotonic() + 5
    while not upstream.of(path):
        assert time.monotonic() < end, "no request came"
        time.sleep(0.01)


@pytest.mark.parametrize("framing", [b"content-length: 1000", b"transfer-encoding: chunked"])
def test_an_answer_that_breaks_off_looks_broken(running: Gateway, upstream: Service, framing: bytes) -> None:
    part = b"half of it" if b"length" in framing else b"a\r\nhalf of it\r\n"
    upstream.on("/cut", cut(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (framing, part)))
    with Client(running.port) as client:
        client.send(b"GET /cut HTTP/1.1\r\nhost: a.test\r\n\r\n")
        with pytest.raises(EOFError):
            client.read()
    (record,) = running.new_records()
    assert (record.state, record.code) == (UPSTREAM_ERROR, "upstream-connection-lost")


def test_an_upstream_that_closes_without_an_answer(running: Gateway, upstream: Service) -> None:
    upstream.on("/mute", cut(b""))
    got = httpx.post(running.url + "/mute", content=b"x")
    assert (got.status_code, got.json()["code"]) == (502, "upstream-connection-lost")
    (record,) = running.new_records()
    assert (record.state, record.status, record.request_id) == (UPSTREAM_ERROR, 502, got.json()["request_id"])


def test_an_upstream_that_speaks_something_else(running: Gateway, upstream: Service) -> None:
    upstream.on("/smtp", cut(b"220 mail.example ESMTP\r\n\r\n"))
    got = httpx.get(running.url + "/smtp")
    assert (got.status_code, got.json()["code"]) == (502, "upstream-protocol-error")


def test_an_upstream_that_is_not_there(gateway: GatewayFactory, door: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    running = gateway(door, snapshot(port))
    got = httpx.get(running.url + "/x")
    assert (got.status_code, got.json()["code"]) == (502, "upstream-unreachable")
    (record,) = running.new_records()
    assert record.tries == 2


def test_an_upstream_that_takes_too_long(gateway: GatewayFactory, door: str, upstream: Service) -> None:
    upstream.on("/late", hang())
    running = gateway(door, snapshot(upstream.port, upstream={"first_byte_timeout": 0.3}))
    got = httpx.get(running.url + "/late")
    assert (got.status_code, got.json()["code"]) == (504, "upstream-timeout")


def test_an_early_answer_ends_the_upload(running: Gateway, upstream: Service) -> None:
    upstream.on("/early", early(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"))
    with Client(running.port) as client:
        client.send(b"POST /early HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1000000\r\n\r\nstart")
        assert client.read().body == b"no"
    (record,) = running.new_records()
    assert record.status == 403


def test_the_client_is_named_to_the_upstream(running: Gateway, upstream: Service) -> None:
    lines = (
        b"x-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\nx-real-ip: 6.6.6.6\r\n"
        b"forwarded: for=6.6.6.6\r\n"
    )
    raw(running, b"GET /who HTTP/1.1\r\nhost: a.test:81\r\n" + lines + b"\r\n")
    call = upstream.last("/who")
    assert call.get(b"x-forwarded-for") == b"127.0.0.1"
    assert call.get(b"x-real-ip") == b"127.0.0.1"
    assert call.get(b"x-forwarded-proto") == b"http"
    assert call.get(b"x-forwarded-host") in (b"a.test", b"a.test:81")
    assert call.get(b"forwarded") is None
    (record,) = running.new_records()
    assert (record.client_ip, record.host) == ("127.0.0.1", "a.test")


def test_a_trusted_proxy_is_believed(gateway: GatewayFactory, door: str, upstream: Service) -> None:
    running = gateway(door, snapshot(upstream.port, trusted_proxies=("127.0.0.0/8", "10.0.0.0/8")))
    lines = (
        b"x-forwarded-for: 6.6.6.6, 203.0.113.9, 10.1.1.1\r\nx-forwarded-proto: https\r\n"
        b"x-forwarded-host: shop.example\r\nx-request-id: from-the-proxy-1\r\n"
    )
    _, headers, _ = raw(running, b"GET /who HTTP/1.1\r\nhost: a.test\r\n" + lines + b"\r\n")
    call = upstream.last("/who")
    assert call.get(b"x-forwarded-for") == b"203.0.113.9, 10.1.1.1, 127.0.0.1"
    assert call.get(b"x-real-ip") == b"203.0.113.9"
    assert call.get(b"x-forwarded-proto") == b"https"
    assert call.get(b"x-forwarded-host") == b"shop.example"
    assert headers[b"x-request-id"] == call.get(b"x-request-id") == b"from-the-proxy-1"
    (record,) = running.new_records()
    assert (record.client_ip, record.request_id) == ("203.0.113.9", "from-the-proxy-1")


def test_forwarded_is_believed_where_it_is_configured(
    gateway: GatewayFactory, door: str, upstream: Service
) -> None:
    config = snapshot(upstream.port, trusted_proxies=("127.0.0.1",), forwarded_header="forwarded")
    running = gateway(door, config)
    lines = (
        b'forwarded: for=6.6.6.6, for="[2001:db8::7]:81";proto=https;host=f.example\r\n'
        b"x-forwarded-for: 7.7.7.7\r\n"
    )
    raw(running, b"GET /who HTTP/1.1\r\nhost: a.test\r\n" + lines + b"\r\n")
    call = upstream.last("/who")
    assert call.get(b"x-real-ip") == b"2001:db8::7"
    assert call.get(b"x-forwarded-proto") == b"https"
    assert call.get(b"x-forwarded-host") == b"f.example"


def test_one_request_id_everywhere(running: Gateway, upstream: Service) -> None:
    got = httpx.get(running.url + "/id", headers={"x-request-id": "mine"})
    request_id = got.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{24}", request_id)
    assert upstream.last("/id").get(b"x-request-id") == request_id.encode()
    assert running.record_of(request_id).path == "/id"


def test_the_request_id_is_in_errors(gateway: GatewayFactory, door: str, upstream: Service) -> None:
    running = gateway(door, snapshot(upstream.port, route={"hosts": ("only.test",)}))
    got = httpx.get(running.url + "/id")
    assert (got.status_code, got.headers["content-type"]) == (404, "application/problem+json")
    assert got.headers["x-request-id"] == got.json()["request_id"]
    assert running.record_of(got.json()["request_id"]).code == got.json()["code"] == "no-route"


def test_every_answer_says_when(gateway: GatewayFactory, door: str, upstream: Service) -> None:
    upstream.on(
        "/dated",
        answer(b"HTTP/1.1 200 OK\r\ndate: Sat, 01 Jan 2000 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n"),
    )
    upstream.on("/undated", answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"))
    running = gateway(door, snapshot(upstream.port, route={"methods": ("GET",)}))
    before = int(time.time())
    found = [
        httpx.request(method, running.url + path).headers.get_list("date")
        for method, path in (("GET", "/dated"), ("GET", "/undated"), ("GET", "/undated"), ("POST", "/own"))
    ]
    assert found[0] == ["Sat, 01 Jan 2000 00:00:00 GMT"]
    for [date] in found[1:]:
        assert before <= parsedate_to_datetime(date).timestamp() <= time.time()


def test_a_trace_goes_on(running: Gateway, upstream: Service) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "tracestate": "vendor=1"}
    got = httpx.get(running.url + "/trace", headers=sent)
    call = upstream.last("/trace")
    seen = (call.get(b"traceparent") or b"").decode()
    assert re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-01", seen)
    assert seen != sent["traceparent"]
    assert call.get(b"tracestate") == b"vendor=1"
    assert running.record_of(got.headers["x-request-id"]).trace_id == trace


def test_a_trace_begins_here(running: Gateway, upstream: Service) -> None:
    got = httpx.get(running.url + "/trace", headers={"traceparent": "00-zz-1-01"})
    seen = (upstream.last("/trace").get(b"traceparent") or b"").decode()
    match = re.fullmatch("00-([0-9a-f]{32})-[0-9a-f]{16}-01", seen)
    assert match
    assert running.record_of(got.headers["x-request-id"]).trace_id == match[1]
