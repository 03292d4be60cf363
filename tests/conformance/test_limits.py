"""What a client may send, how much, and for how long: each limit with its answer, record and counter."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from proxy.config.snapshot import Limits
from proxy.telemetry.record import CLIENT_ABORT, REJECTED
from tests.conformance.client import Answer, Client
from tests.conformance.gateway import Gateway, chunked, get, head, open_snapshot, post, running
from tests.conformance.recorder import OK_ANSWER, echo
from tests.gateway.doors import wait_until

SHORT = Limits(
    header_timeout=1.0, body_timeout=1.0, idle_timeout=1.0, keepalive_timeout=0.5, body_bytes=100_000
)
LATE = 2.5
"""Seconds within which a limit of one second must have acted (the sweep comes four times a second)."""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that waits a second for anything."""
    with running(tmp_path_factory.mktemp("node"), open_snapshot(limits=SHORT)) as started:
        yield started


@contextlib.contextmanager
def counted(gateway: Gateway, name: str, by: int = 1) -> Iterator[None]:
    """The counter rises by that much during the block."""
    before = gateway.counter(name)
    yield
    wait_until(lambda: gateway.counter(name) == before + by, f"{name} to be {before + by}")


def drip(client: Client, data: bytes, pause: float = 0.1) -> Answer:
    """Send a byte at a time until an answer comes."""
    started = time.monotonic()
    client.sock.settimeout(pause)
    for byte in data:
        client.send(bytes((byte,)))
        try:
            client._more()
            break
        except TimeoutError:
            assert time.monotonic() - started < LATE, "the limit did not act"
    client.sock.settimeout(10)
    return client.read()


def nothing_upstream(gateway: Gateway, action: Callable[[], None]) -> None:
    """No whole request reaches the upstream during the action, and what is begun is cut off."""
    gateway.settle()
    count = len(gateway.upstream.requests)
    action()
    wait_until(lambda: gateway.upstream.settle() or not gateway.upstream.unfinished, "the cut")
    assert len(gateway.upstream.requests) == count


def test_a_head_that_trickles_in_is_ended_at_an_absolute_time(hasty: Gateway) -> None:
    def action() -> None:
        with hasty.connect() as client, counted(hasty, "header_timeouts"):
            answer = drip(client, get(b"/x", b"X-Slow: " + b"y" * 200))
            assert (answer.status, answer.code) == (408, "header-timeout")
            assert client.closed()
        record = hasty.record()
        assert (record.state, record.code, record.status) == (REJECTED, "header-timeout", 408)

    nothing_upstream(hasty, action)


def test_a_second_head_that_trickles_in_is_ended_too(hasty: Gateway) -> None:
    with hasty.connect() as client, counted(hasty, "header_timeouts"):
        client.send(get(b"/one"))
        assert client.read().status == 200
        assert drip(client, get(b"/two", b"X-Slow: " + b"y" * 200)).code == "header-timeout"
        assert client.closed()


def test_a_silent_new_connection_is_closed_without_an_answer(hasty: Gateway) -> None:
    hasty.settle()
    started = time.monotonic()
    with hasty.connect() as client, counted(hasty, "header_timeouts"):
        assert client.closed()
    assert 0.9 < time.monotonic() - started < LATE
    assert hasty.records() == []


def test_an_idle_connection_is_closed_when_its_keep_alive_is_over(hasty: Gateway) -> None:
    with hasty.connect() as client:
        client.send(get())
        assert client.read().status == 200
        started = time.monotonic()
        assert client.closed()
        assert 0.4 < time.monotonic() - started < LATE


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("begun", [b"", b"64\r\n0123456789"])
def test_a_body_that_stops_is_ended(hasty: Gateway, framing: bytes, begun: bytes) -> None:
    def action() -> None:
        with hasty.connect() as client, counted(hasty, "body_timeouts"):
            client.send(post(framing, body=begun))
            answer = client.read()
            assert (answer.status, answer.code) == (408, "body-timeout")
            assert client.closed()
        record = hasty.record()
        assert (record.state, record.code, record.status) == (REJECTED, "body-timeout", 408)

    nothing_upstream(hasty, action)


def test_a_body_below_the_minimum_rate_is_ended(hasty: Gateway) -> None:
    def action() -> None:
        with hasty.connect() as client, counted(hasty, "body_timeouts"):
            client.send(post(b"Content-Length: 1000"))
            assert drip(client, b"x" * 1000).code == "body-timeout"
            assert client.closed()
        assert hasty.record().code == "body-timeout"

    nothing_upstream(hasty, action)


def test_a_slow_body_above_the_minimum_rate_is_taken(hasty: Gateway) -> None:
    with hasty.connect() as client:
        client.send(post(b"Content-Length: 30000"))
        for _ in range(15):
            client.send(b"x" * 2000)
            time.sleep(0.1)
        assert client.read().status == 200


def test_without_a_minimum_rate_the_time_for_a_body_is_absolute(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    limits = msgspec.structs.replace(SHORT, body_min_rate=0)
    with running(tmp_path_factory.mktemp("node"), open_snapshot(limits=limits)) as started:
        assert len(started.accepts(post(b"Content-Length: 9", body=b"x" * 9), piece=1).body) == 9
        with started.connect() as client:
            client.send(post(b"Content-Length: 90000", body=b"x" * 50_000))
            assert drip(client, b"x" * 1000).code == "body-timeout"


LINES = [b"X-%d: y" % number for number in range(9_999)]


@pytest.mark.parametrize(
    ("payload", "status", "code"),
    [
        (get(b"/x", *LINES[:100]), 431, "too-many-headers"),
        (get(b"/x", *LINES), 431, "headers-too-large"),
        (get(b"/x", b"X-A: " + b"y" * (8192 - 4)), 431, "headers-too-large"),
        (get(b"/x", b"X" * 8000 + b": " + b"y" * 191), 431, "headers-too-large"),
        (get(b"/x", *[b"X-A: " + b"y" * 4000] * 8 + [b"X-B: " + b"y" * 1000]), 431, "headers-too-large"),
        (get(b"/x", b"X-A: " + b"y" * 2_000_000), 431, "headers-too-large"),
        (get(b"/x", *[b"X-A: " + b"y" * 6000] * 400), 431, "headers-too-large"),
        (get(b"/" + b"y" * 8192), 414, "target-too-long"),
        (get(b"/" + b"y" * 2_000_000), 414, "target-too-long"),
        (get(b"/?" + b"y" * 8192), 414, "target-too-long"),
        (b"GET /" + b"y" * 100_000, 414, "target-too-long"),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\nX: " + b"y" * 100_000, 431, "headers-too-large"),
        (b"G" * 100_000, 414, "target-too-long"),
    ],
    ids=range(13),
)
@pytest.mark.parametrize("piece", [0, 777])
def test_heads_over_a_limit_are_refused(
    hasty: Gateway, payload: bytes, status: int, code: str, piece: int
) -> None:
    answer = hasty.refuses(payload, piece=piece)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    "payload",
    [
        get(b"/x", *LINES[:99]),
        get(b"/x", b"X-A: " + b"y" * (8192 - 5)),
        get(b"/" + b"y" * (8192 - len(b"GET / HTTP/1.1"))),
        get(b"/x", *[b"X-A: " + b"y" * 4000] * 8),
    ],
    ids=range(4),
)
@pytest.mark.parametrize("piece", [0, 777])
def test_heads_at_a_limit_are_taken(hasty: Gateway, payload: bytes, piece: int) -> None:
    hasty.accepts(payload, piece=piece)


def test_a_body_announced_over_the_limit_is_refused_before_it_comes(hasty: Gateway) -> None:
    answer = hasty.refuses(head(b"POST", b"/x", b"Content-Length: 100001"))
    assert (answer.status, answer.code) == (413, "body-too-large")
    waiting = head(b"POST", b"/x", b"Content-Length: 100001", b"Expect: 100-continue")
    assert hasty.refuses(waiting).status == 413
    assert len(hasty.accepts(post(b"Content-Length: 100000", body=b"x" * 100_000)).body) == 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"186a1\r\n" + b"x" * 100_001 + b"\r\n0\r\n\r\n",
        b"fffffff\r\n" + b"x" * 300_000,
        b"1\r\nx\r\n" * 100_001 + b"0\r\n\r\n",
        b"1\r\nx\r\n" * 160_000,
    ],
    ids=["one chunk", "announced", "tiny chunks", "endless chunks"],
)
def test_a_chunked_body_over_the_limit_is_refused_when_it_gets_there(hasty: Gateway, body: bytes) -> None:
    answer = hasty.refuses(chunked(body), streamed=True)
    assert (answer.status, answer.code) == (413, "body-too-large")


def test_a_refused_body_that_never_ends_is_cut_off(hasty: Gateway) -> None:
    hasty.settle()
    with hasty.connect() as client:
        client.send(head(b"POST", b"/x", b"Content-Length: 99999999999"))
        assert client.read().code == "body-too-large"
        started, block = time.monotonic(), bytes(65536)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() - started < 3 * LATE:
                client.sock.sendall(block)
    assert hasty.record().code == "body-too-large"


def test_a_client_that_does_not_read_costs_little_and_is_left(hasty: Gateway) -> None:
    size = 64 * 1024 * 1024
    hasty.upstream.answers[b"/big"] = lambda seen: OK_ANSWER % (size, bytes(size))
    hasty.settle()
    before = hasty.upstream.sent
    with hasty.connect() as client:
        client.send(get(b"/big"))
        started = time.monotonic()
        record = hasty.record()
        assert 0.9 < time.monotonic() - started < 2 * LATE
        assert hasty.upstream.sent - before < size / 2, (
            "the whole answer was taken in for a client that stalls"
        )
        assert (record.state, record.status) == (CLIENT_ABORT, 200)
    hasty.upstream.answers[b"/big"] = echo


def test_what_is_sent_ahead_is_not_taken_in_without_end(hasty: Gateway) -> None:
    hasty.upstream.answers[b"/slow"] = None
    hasty.settle()
    with hasty.connect() as client:
        client.send(get(b"/slow"))
        wait_until(lambda: hasty.upstream.settle() or hasty.upstream.held, "the first request")
        client.sock.settimeout(0.3)
        request = get(b"/ahead", b"X-Filler: " + b"y" * 4000)
        ahead, sent = request * 8_000, 0
        with contextlib.suppress(TimeoutError):
            while sent < len(ahead):
                sent += client.sock.send(ahead[sent : sent + 65536])
        assert sent < len(ahead), "everything was taken in"
        client.sock.settimeout(10)
        hasty.upstream.release()
        assert client.read().body == b"GET /slow"
        for _ in range(sent // len(request)):
            assert client.read().body == b"GET /ahead"
    hasty.upstream.answers[b"/slow"] = echo


def test_empty_lines_in_front_of_a_request_come_to_an_end(hasty: Gateway) -> None:
    answer = hasty.refuses(b"\r\n" * 500_000 + get())
    assert answer.code == "malformed-request"


@pytest.mark.parametrize("filler", [b" ", b" \t", b"a ", b"a\t\t"])
def test_a_line_that_is_nearly_well_formed_is_refused_in_no_time(hasty: Gateway, filler: bytes) -> None:
    # T-H: one line of blanks cost a quarter of a second when reading it backtracked.
    lines = [b"X: " + filler * (7000 // len(filler)) + b"\x00"] * 4
    started = time.perf_counter()
    assert hasty.refuses(get(b"/x", *lines)).code == "malformed-request"
    assert time.perf_counter() - started < 1


def test_at_the_connection_cap_the_newest_is_refused_and_the_others_are_served(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, former[1]))
    try:
        gateway = Gateway(tmp_path_factory.mktemp("node"), open_snapshot())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, former)
    clients = []
    try:
        for _ in range(128):
            clients.append(gateway.connect())
            clients[-1].send(get())
            assert clients[-1].read().status == 200
        with counted(gateway, "connections_refused", 3):
            for _ in range(3):
                with gateway.connect() as late:
                    assert late.closed()
        for client in clients:
            client.send(get())
            assert client.read().status == 200
        clients.pop().sock.close()
        wait_until(lambda: _served(gateway), "a place that is free again")
    finally:
        for client in clients:
            client.sock.close()
        gateway.close()


def _served(gateway: Gateway) -> bool:
    with gateway.connect() as client:
        client.send(get())
        try:
            return client.read().status == 200
        except EOFError:
            return False
