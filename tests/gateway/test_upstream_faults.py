"""Services that fail, stall, lie and flood: what clients get, what is repeated, that nothing is left over.

Every case ends with `settled`: the pool's count of connections is the number that the service sees open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.config.snapshot import Limits, Target
from proxy.telemetry.record import CLIENT_ABORT, OK, SHED, TIMEOUT, UPSTREAM_ERROR
from tests.fault_proxy import Fault, FaultProxy
from tests.proxy.upstream.stage import OK as OK_ANSWER
from tests.proxy.upstream.stage import (
    Client,
    Gateway,
    Incoming,
    ScriptedUpstream,
    answering,
    run,
    running,
    service,
    still,
    until,
)

HEAD = b"HTTP/1.1 200 OK\r\n"


def sending(*parts: bytes, end: str = "keep", pause: float = 0.0) -> ScriptedUpstream:
    """An upstream that answers the first request of each connection with these bytes; then it keeps the
    connection open, closes it (`fin`) or resets it (`rst`)."""

    async def handle(incoming: Incoming) -> None:
        upstream.requests.append(await incoming.request())
        for part in parts:
            await incoming.send(part)
            await asyncio.sleep(pause)
        if end == "fin":
            incoming.writer.write_eof()
        if end != "rst":
            await incoming.reader.read()

    upstream = ScriptedUpstream(handle)
    return upstream


async def echo(incoming: Incoming) -> None:
    """Answer with what came: nonce and body."""
    while True:
        request = await incoming.request()
        nonce = request.get(b"x-nonce")
        await incoming.send(
            b"HTTP/1.1 200 OK\r\nx-nonce: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (nonce, len(request.body), request.body)
        )


# -- targets that are not there


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_refused_connection_goes_to_the_next_target(tmp_path: Path, method: str) -> None:
    async def scenario() -> None:
        async with answering() as dead:
            pass
        async with (
            answering() as alive,
            running(tmp_path, service(dead.target, alive, retry_budget=1.0)) as gateway,
        ):
            for _ in range(6):
                started = time.monotonic()
                answer = await gateway.ask(method, "/", b"body" if method != "GET" else None)
                assert (answer.status, time.monotonic() - started < 1) == (200, True)
            assert [request.body for request in alive.requests] == [b"body" if method != "GET" else b""] * 6
            records = await gateway.records(6)
            assert {record.target for record in records} == {alive.target.label}
            assert {record.tries for record in records} == {1, 2}
            await gateway.settled(alive)

    run(scenario)


def test_the_next_target_is_another_one_whatever_the_weights(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as dead:
            pass
        heavy = Target(dead.target.host, dead.port, weight=1000)
        async with (
            answering() as alive,
            running(tmp_path, service(heavy, alive, retry_budget=1.0)) as gateway,
        ):
            for _ in range(10):
                assert (await gateway.ask()).status == 200

    run(scenario)


def test_with_no_target_left_the_answer_is_502_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as dead:
            pass
        async with running(tmp_path, service(dead)) as gateway:
            started = time.monotonic()
            answer = await gateway.ask()
            assert time.monotonic() - started < 5
            record = await gateway.record()
            assert (answer.status, record.state, record.code) == (502, UPSTREAM_ERROR, "upstream-unreachable")
            await gateway.settled()

    run(scenario)


def test_a_target_that_does_not_accept_is_given_up_after_the_connect_timeout(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            port = full.getsockname()[1]
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            target = Target("127.0.0.1", port)
            async with running(tmp_path, service(target, connect_timeout=0.3, retries=0)) as gateway:
                started = time.monotonic()
                answer = await gateway.ask("POST", "/", b"x")
                assert 0.25 < time.monotonic() - started < 3
                record = await gateway.record()
                assert (answer.status, record.state) == (504, TIMEOUT)
                assert record.code == "upstream-connect-timeout"
                await gateway.settled()
            for filler in fillers:
                filler.close()

    run(scenario)


def test_waiting_requests_go_on_when_a_connection_cannot_be_made(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as dead:
            pass
        options = {"max_connections": 1, "retries": 0, "first_byte_timeout": 5.0}
        async with running(tmp_path, service(dead, **options)) as gateway:
            started = time.monotonic()
            answers = await asyncio.gather(*(gateway.ask() for _ in range(5)))
            assert {answer.status for answer in answers} == {502}
            assert time.monotonic() - started < 5
            await gateway.settled()

    run(scenario)


# -- targets that stall or break


def test_a_stall_before_the_head_is_504_and_a_post_is_not_repeated(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            sending() as stalled,
            running(tmp_path, service(stalled, first_byte_timeout=0.2)) as gateway,
        ):
            for method in ("POST", "GET"):
                answer = await gateway.ask(method, "/", b"x" if method == "POST" else None)
                record = await gateway.record()
                assert (answer.status, record.state, record.code) == (504, TIMEOUT, "upstream-timeout")
            assert len(stalled.requests) == 2
            await gateway.settled(stalled)

    run(scenario)


def test_a_slow_upload_is_not_the_services_fault(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            answering() as server,
            running(tmp_path, service(server, first_byte_timeout=0.3)) as gateway,
        ):
            async with gateway.client() as client:
                client.send("POST", "/", b"half", "Transfer-Encoding: none")
            async with gateway.client() as client:
                client.writer.write(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\n")
                for byte in (b"a", b"b", b"c", b"d"):
                    await asyncio.sleep(0.35)
                    client.writer.write(byte)
                answer = await client.read()
            assert answer.status == 200
            assert server.requests[0].body == b"abcd"

    run(scenario)


def test_a_reset_in_the_middle_of_the_request_body(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as server, FaultProxy(server.port) as proxy:
            proxy.up = Fault(reset_after=100_000)
            async with running(tmp_path, service(Target("127.0.0.1", proxy.port))) as gateway:
                answer = await gateway.ask("POST", "/", b"x" * 1_000_000)
                record = await gateway.record()
                assert (answer.status, record.state, record.tries) == (502, UPSTREAM_ERROR, 1)
                assert proxy.accepted == 1
                await gateway.settled()

    run(scenario)


@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"content-length: 10\r\n\r\nhalf",
        HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ],
    ids=["length", "chunked", "no-end"],
)
def test_a_break_in_the_middle_of_the_answer_shows(tmp_path: Path, answer: bytes, end: str) -> None:
    async def scenario() -> None:
        server = sending(answer, end=end, pause=0.02)
        async with server, running(tmp_path, service(server)) as gateway:
            got = await gateway.ask()
            record = await gateway.record()
            assert (got.status, got.body, got.whole) == (200, b"half", False)
            assert (record.state, record.status) == (UPSTREAM_ERROR, 200)
            assert len(server.requests) == 1
            await gateway.settled(server)

    run(scenario)


def test_an_answer_that_stops_is_cut_off_after_the_idle_timeout(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = sending(HEAD + b"content-length: 10\r\n\r\nhalf")
        async with server, running(tmp_path, service(server, idle_timeout=0.2)) as gateway:
            got = await gateway.ask()
            assert (got.body, got.whole) == (b"half", False)
            assert (await gateway.record()).state == UPSTREAM_ERROR
            await gateway.settled(server)

    run(scenario)


def test_an_answer_that_ends_with_its_connection_is_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = sending(HEAD + b"\r\nuntil ", b"the end", end="fin", pause=0.02)
        async with server, running(tmp_path, service(server)) as gateway:
            for _ in range(2):
                got = await gateway.ask()
                assert (got.status, got.body, got.whole) == (200, b"until the end", True)
                assert (await gateway.record()).state == OK
            assert server.connections == 2
            await gateway.settled(server)

    run(scenario)


def test_an_answer_that_ends_with_a_reset_is_not_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as server, FaultProxy(server.port) as proxy:
            proxy.down = Fault(reset_after=40)
            server.handler = sending(HEAD + b"\r\n" + b"x" * 1000).handler
            async with running(tmp_path, service(Target("127.0.0.1", proxy.port))) as gateway:
                got = await gateway.ask()
                assert not got.whole or got.status == 502
                assert (await gateway.record()).state == UPSTREAM_ERROR

    run(scenario)


# -- answers that are no HTTP (threats T-A25)

MALFORMED = {
    "length and chunked": HEAD + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "the same length twice": HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok",
    "a list of lengths": HEAD + b"content-length: 2, 2\r\n\r\nok",
    "a signed length": HEAD + b"content-length: +2\r\n\r\nok",
    "a negative length": HEAD + b"content-length: -2\r\n\r\nok",
    "a length in hex": HEAD + b"content-length: 0x2\r\n\r\nok",
    "an endless length": HEAD + b"content-length: 99999999999999999999\r\n\r\nok",
    "gzip, chunked": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": HEAD + b"transfer-encoding: identity\r\n\r\nok",
    "chunked twice": HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    "one bare LF": b"HTTP/1.1 200 OK\r\na: b\nc: d\r\ncontent-length: 2\r\n\r\nok",
    "bare CR": b"HTTP/1.1 200 OK\r\na: b\rc: d\r\ncontent-length: 2\r\n\r\nok",
    "a folded line": HEAD + b"a: b\r\n c\r\ncontent-length: 2\r\n\r\nok",
    "a blank before the colon": HEAD + b"content-length : 2\r\n\r\nok",
    "no colon": HEAD + b"what\r\ncontent-length: 2\r\n\r\nok",
    "no name": HEAD + b": x\r\ncontent-length: 2\r\n\r\nok",
    "NUL": HEAD + b"a: b\0c\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "HTTP/0.9": b"hello\r\n\r\n",
    "lower case": b"http/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "status 99": b"HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok",
    "status 600": b"HTTP/1.1 600 OK\r\ncontent-length: 2\r\n\r\nok",
    "status 2000": b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "1000 x 100": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + OK_ANSWER,
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "a huge head": HEAD + b"a: " + b"b" * 2_000_000 + b"\r\ncontent-length: 2\r\n\r\nok",
    "a huge unfinished head": HEAD + b"a: " + b"b" * 2_000_000,
    "10^5 headers": HEAD + b"a: b\r\n" * 100_000 + b"content-length: 2\r\n\r\nok",
    "101 headers": HEAD + b"a: b\r\n" * 101 + b"content-length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("split", [False, True], ids=["at-once", "in-pieces"])
def test_malformed_answers_are_502_and_end_the_connection(tmp_path: Path, split: bool) -> None:
    async def scenario() -> None:
        server = answering()
        async with server, FaultProxy(server.port) as proxy:
            proxy.down = Fault(slice=7) if split else Fault()
            upstream = service(Target("127.0.0.1", proxy.port), first_byte_timeout=2.0)
            async with running(tmp_path, upstream) as gateway:
                for name, data in MALFORMED.items():
                    if split and len(data) > 100_000:
                        continue
                    server.handler = sending(data).handler
                    started, accepted = time.monotonic(), proxy.accepted
                    answer = await gateway.ask()
                    assert answer.status == 502, name
                    record = await gateway.record()
                    assert (record.state, record.code) == (UPSTREAM_ERROR, "upstream-protocol-error"), name
                    assert time.monotonic() - started < 5, name
                    assert proxy.accepted == accepted + 1, name
                    await gateway.settled(server)
                    assert gateway.pool.open == 0, name

    run(scenario)


PASSED = {
    "a body after 204": (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nstray", "GET", 204, b""),
    "a body after 304": (b"HTTP/1.1 304 Not Modified\r\n\r\nstray", "GET", 304, b""),
    "a body after HEAD": (HEAD + b"content-length: 5\r\n\r\nstray", "HEAD", 200, b""),
    "more than the length": (HEAD + b"content-length: 2\r\n\r\nokstray", "GET", 200, b"ok"),
    "more than no body": (HEAD + b"content-length: 0\r\n\r\nstray", "GET", 200, b""),
    "a second answer": (OK_ANSWER + HEAD + b"content-length: 5\r\n\r\nstray", "GET", 200, b"ok"),
    "more than the last chunk": (
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + OK_ANSWER,
        "GET",
        200,
        b"ok",
    ),
}


@pytest.mark.parametrize("pieces", [1, 1000], ids=["at-once", "byte-by-byte"])
@pytest.mark.parametrize("name", PASSED)
def test_what_follows_an_answer_reaches_no_other_request(tmp_path: Path, name: str, pieces: int) -> None:
    data, method, status, body = PASSED[name]

    async def stray(incoming: Incoming) -> None:
        request = await incoming.request()
        if request.line.startswith(method.encode()) and incoming.number == 1:
            size = max(1, len(data) // pieces)
            for start in range(0, len(data), size):
                await incoming.send(data[start : start + size])
                if pieces > 1:
                    await asyncio.sleep(0)
            await incoming.request()
        await incoming.send(OK_ANSWER)
        await echo(incoming)

    async def scenario() -> None:
        server = ScriptedUpstream(stray)
        async with server, running(tmp_path, service(server)) as gateway:
            answer = await gateway.ask(method)
            assert (answer.status, answer.body, answer.whole) == (status, body, True)
            for _ in range(3):
                answer = await gateway.ask("GET", "/next")
                assert answer.status == 200 and b"stray" not in answer.body
            await gateway.settled(server)

    run(scenario)


def test_interim_answers_pass_or_are_dropped(tmp_path: Path) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + hint + b"HTTP/1.1 102 Processing\r\n\r\n"

    async def handle(incoming: Incoming) -> None:
        while True:
            await incoming.request()
            await incoming.send(interim)
            await incoming.send(OK_ANSWER)

    async def scenario() -> None:
        server = ScriptedUpstream(handle)
        async with server, running(tmp_path, service(server)) as gateway, gateway.client() as client:
            for _ in range(12):
                client.send("GET", "/")
                status, headers = await client.read_head()
                assert (status, headers.get(b"link")) == (103, b"</a.css>")
                answer = await client.read()
                assert (answer.status, answer.body) == (200, b"ok")
            assert server.connections == 1
            await gateway.settled(server)

    run(scenario)


# -- kept connections (F-08)


def test_a_kept_connection_that_closes_under_a_request(tmp_path: Path) -> None:
    """GET is repeated once, on a fresh connection; POST never is."""

    async def close_on_reuse(incoming: Incoming) -> None:
        await incoming.request()
        await incoming.send(OK_ANSWER)
        request = await incoming.request()
        server.requests.append(request)

    server = ScriptedUpstream(close_on_reuse)

    async def scenario() -> None:
        async with server, running(tmp_path, service(server, retries=0)) as gateway:
            for _ in range(3):
                first = [asyncio.ensure_future(gateway.ask()) for _ in range(4)]
                await asyncio.gather(*first)
                answer = await gateway.ask()
                assert answer.status == 200
            record = (await gateway.records(15))[-1]
            assert (record.state, record.tries) == (OK, 1)
            await gateway.ask()
            server.requests.clear()
            answer = await gateway.ask("POST", "/", b"once")
            assert answer.status == 502
            assert [request.body for request in server.requests] == [b"once"]
            await gateway.settled(server)

    run(scenario)


def test_connections_that_close_around_their_reuse(tmp_path: Path) -> None:
    """V2 and V3: no body arrives twice, every answer belongs to its request, no GET fails."""
    seen: Counter[bytes] = Counter()

    async def close_soon(incoming: Incoming) -> None:
        while True:
            request = await incoming.request()
            seen[request.body] += bool(request.body)
            nonce = request.get(b"x-nonce")
            await incoming.send(b"HTTP/1.1 200 OK\r\nx-nonce: %b\r\ncontent-length: 2\r\n\r\nok" % nonce)
            if random.random() < 0.3:
                await asyncio.sleep(random.choice((0, 0, 0.0005, 0.001)))
                return

    async def scenario() -> None:
        server = ScriptedUpstream(close_soon)
        failed = 0
        async with server, running(tmp_path, service(server, retry_budget=1.0)) as gateway:

            async def work(worker: int) -> None:
                nonlocal failed
                async with gateway.client() as client:
                    for number in range(150):
                        nonce = f"{worker}-{number}"
                        post = number % 2
                        body = nonce.encode() if post else None
                        client.send("POST" if post else "GET", "/", body, f"X-Nonce: {nonce}")
                        answer = await client.read()
                        if answer.status == 200:
                            assert answer.headers[b"x-nonce"] == nonce.encode()
                        else:
                            assert (post, answer.status) == (1, 502)
                            failed += 1

            await asyncio.gather(*(work(number) for number in range(8)))
            assert max(seen.values()) == 1
            assert failed < 300
            records = await gateway.records(8 * 150)
            assert sum(record.state == UPSTREAM_ERROR for record in records) == failed
            await gateway.settled(server)

    run(scenario)


def test_a_connection_that_closed_while_idle_costs_no_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        server = answering()
        async with server, running(tmp_path, service(server, retries=0)) as gateway:
            for number in range(5):
                assert (await gateway.ask("POST", "/", b"%d" % number)).status == 200
                for task in list(server.tasks):
                    task.cancel()
                await until(lambda: gateway.pool.open == 0, "the pool hears of it")
            assert [request.body for request in server.requests] == [b"%d" % number for number in range(5)]
            await gateway.settled(server)

    run(scenario)


# -- load


def test_retries_do_not_become_a_storm(tmp_path: Path) -> None:
    """F-15: everything fails, and the service sees at most 1.2 times what was asked, plus the reserve."""

    async def fail(incoming: Incoming) -> None:
        server.requests.append(await incoming.request())

    server = ScriptedUpstream(fail)

    async def scenario() -> None:
        async with server, running(tmp_path, service(server, retries=3)) as gateway:
            for _ in range(10):
                answers = await asyncio.gather(*(gateway.ask() for _ in range(50)))
                assert {answer.status for answer in answers} == {502}
            assert 500 < len(server.requests) <= 500 * 1.2 + 10
            assert gateway.counter("retry_budget_exhausted") > 0
            await gateway.settled(server)

    run(scenario)


def test_clients_that_leave_under_contention_leave_the_pool_whole(tmp_path: Path) -> None:
    """F-09: ten connections, clients that reset at random moments; afterwards everything is as before."""

    async def slow_echo(incoming: Incoming) -> None:
        while True:
            request = await incoming.request()
            await asyncio.sleep(random.random() * 0.01)
            await incoming.send(
                b"HTTP/1.1 200 OK\r\nx-nonce: %b\r\ntransfer-encoding: chunked\r\n\r\n"
                % request.get(b"x-nonce"),
                b"5\r\nhello\r\n",
            )
            await asyncio.sleep(random.random() * 0.005)
            await incoming.send(b"0\r\n\r\n")

    async def scenario() -> None:
        server = ScriptedUpstream(slow_echo)
        async with server, running(tmp_path, service(server, max_connections=10)) as gateway:
            sent = 0

            async def leave(worker: int) -> None:
                nonlocal sent
                for number in range(12):
                    async with gateway.client() as client:
                        nonce = f"{worker}-{number}"
                        client.send("GET", "/", None, f"X-Nonce: {nonce}")
                        sent += 1
                        if number % 4 == 0:
                            answer = await client.read()
                            assert (answer.status, answer.headers[b"x-nonce"]) == (200, nonce.encode())
                        else:
                            await asyncio.sleep(random.random() * 0.03)

            workers = asyncio.gather(*(leave(number) for number in range(50)))
            while not workers.done():
                assert gateway.pool.open <= 10
                await asyncio.sleep(0.002)
            await workers
            await until(lambda: gateway.engine.core.in_flight == 0, "all are over")
            records = gateway.tail.new()
            await asyncio.sleep(0.05)
            records += gateway.tail.new()
            assert len(records) <= sent
            assert {record.state for record in records} <= {OK, CLIENT_ABORT}
            assert len({record.request_id for record in records}) == len(records)
            assert (await gateway.ask()).status == 200
            await gateway.settled(server)

    run(scenario)


def test_the_queue_for_connections_is_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def hold(incoming: Incoming) -> None:
            while True:
                await incoming.request()
                await release.wait()
                await incoming.send(OK_ANSWER)

        server = ScriptedUpstream(hold)
        async with server, running(tmp_path, service(server, max_connections=2, max_pending=3)) as gateway:
            asked = [asyncio.ensure_future(gateway.ask()) for _ in range(8)]
            await until(lambda: sum(one.done() for one in asked) == 3, "three are refused")
            for answer in [one.result() for one in asked if one.done()]:
                assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")
            assert server.connections == 2
            release.set()
            answers = await asyncio.gather(*asked)
            assert Counter(answer.status for answer in answers) == {200: 5, 503: 3}
            assert server.connections == 2
            records = await gateway.records(8)
            assert Counter(record.state for record in records) == {OK: 5, SHED: 3}
            await gateway.settled(server)

    run(scenario)


def test_requests_whose_client_left_do_not_fill_the_queue(tmp_path: Path) -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def hold(incoming: Incoming) -> None:
            while True:
                await incoming.request()
                await release.wait()
                await incoming.send(OK_ANSWER)

        server = ScriptedUpstream(hold)
        async with server, running(tmp_path, service(server, max_connections=1, max_pending=3)) as gateway:
            first = asyncio.ensure_future(gateway.ask())
            await until(lambda: server.connections == 1, "the first request")
            for _ in range(3):
                async with gateway.client() as client:
                    client.send("GET", "/")
                    await until(lambda: gateway.engine.core.in_flight == 2, "it waits")
                await until(lambda: gateway.engine.core.in_flight == 1, "it is gone")
            last = asyncio.ensure_future(gateway.ask())
            await asyncio.sleep(0.05)
            release.set()
            assert ((await first).status, (await last).status) == (200, 200)

    run(scenario)


def test_a_request_that_waits_too_long_for_a_connection_is_503(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = {"max_connections": 1, "first_byte_timeout": 0.4}
        server = sending(HEAD + b"content-length: 10\r\n\r\nhalf")
        async with (
            server,
            running(tmp_path, service(server, **options)) as gateway,
            gateway.client() as client,
        ):
            client.send("GET", "/")
            await client.read_head()
            answer = await gateway.ask()
            assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")

    run(scenario)


# -- streams


def resident() -> int:
    """Resident memory of this process in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextlib.asynccontextmanager
async def several(gateway: Gateway, count: int) -> AsyncIterator[list[Client]]:
    """Clients, each with its connection."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(gateway.client()) for _ in range(count)]


def test_clients_that_read_slowly_cost_no_memory(tmp_path: Path) -> None:
    """F-11: 20 clients that do not read, 20 MB each; then they read all of it, and the connections serve on."""
    size = 20_000_000
    piece = b"x" * 50_000

    async def flood(incoming: Incoming) -> None:
        while True:
            await incoming.request()
            await incoming.send(HEAD + b"content-length: %d\r\n\r\n" % size)
            for _ in range(size // len(piece)):
                await incoming.send(piece)

    async def scenario() -> None:
        server = ScriptedUpstream(flood)
        async with server, running(tmp_path, service(server)) as gateway, several(gateway, 20) as clients:
            before = resident()
            for client in clients:
                client.send("GET", "/")
            await asyncio.gather(*(client.read_head() for client in clients))
            await still(lambda: gateway.engine.core.in_flight + server.open, "the start")
            await asyncio.sleep(0.3)
            assert resident() - before < 60_000_000
            assert gateway.engine.core.in_flight == 20
            for client in clients:
                total = 0
                while total < size:
                    data = await client.reader.read(262_144)
                    assert data
                    total += len(data)
                assert total == size
            await gateway.settled(server)
            for client in clients[:5]:
                client.send("GET", "/")
                await client.read_head()
                assert len(await client.reader.readexactly(size)) == size
            assert server.connections <= 20

    run(scenario)


def test_a_service_that_reads_slowly_stops_the_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def ignore(incoming: Incoming) -> None:
            incoming.writer.transport.pause_reading()
            await asyncio.Event().wait()

        server = ScriptedUpstream(ignore)
        limits = Limits(body_bytes=50_000_000)
        async with server, running(tmp_path, service(server, idle_timeout=0.5), limits) as gateway:
            async with gateway.client() as client:
                client.send("POST", "/", b"x" * 40_000_000)
                pending = client.writer.transport.get_write_buffer_size
                await until(lambda: 0 < pending() < 40_000_000, "it begins")
                left = await still(pending, "the upload")
                assert left > 25_000_000
                answer = await client.read()
                assert answer.status == 504
            await gateway.settled()

    run(scenario)


def test_an_answer_without_end_streams_until_the_client_leaves(tmp_path: Path) -> None:
    async def endless(incoming: Incoming) -> None:
        await incoming.request()
        await incoming.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        while True:
            await incoming.send(b"5\r\ntick\n\r\n")
            await asyncio.sleep(0.005)

    async def scenario() -> None:
        server = ScriptedUpstream(endless)
        async with server, running(tmp_path, service(server, first_byte_timeout=0.2)) as gateway:
            async with gateway.client() as client:
                client.send("GET", "/")
                await client.read_head()
                for _ in range(100):
                    assert await client.reader.readline() == b"5\r\n"
                    assert await client.reader.readline() == b"tick\n"
                    await client.reader.readline()
            record = await gateway.record()
            assert (record.state, record.status) == (CLIENT_ABORT, 200)
            assert record.bytes_out >= 500
            await until(lambda: server.open == 0, "the service hears of it")
            await gateway.settled(server)

    run(scenario)


def test_an_answer_before_the_body_is_read(tmp_path: Path) -> None:
    """The service refuses at the head and reads no more; the client gets the answer, the socket is freed."""

    async def refuse(incoming: Incoming) -> None:
        await incoming.head()
        incoming.writer.transport.pause_reading()
        await incoming.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await asyncio.Event().wait()

    async def scenario() -> None:
        server = ScriptedUpstream(refuse)
        limits = Limits(body_bytes=50_000_000)
        async with server, running(tmp_path, service(server), limits) as gateway:
            async with gateway.client() as client:
                client.send("POST", "/", b"x" * 20_000_000)
                answer = await client.read()
                assert (answer.status, answer.body) == (413, b"big")
            assert (await gateway.record()).state == OK
            await until(lambda: gateway.pool.open == 0, "the connection is given up")
            assert all(not instance.connections for instance in gateway.pool.instances)

    run(scenario)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_bytes_may_come_in_any_pieces(tmp_path: Path, size: int) -> None:
    answers = {
        "length": HEAD + b"content-length: 11\r\n\r\nhello world",
        "chunked": HEAD
        + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nt: 1\r\n\r\n",
    }

    async def handle(incoming: Incoming) -> None:
        while True:
            request = await incoming.request()
            server.requests.append(request)
            await incoming.send(answers[request.line.split()[1].decode()[1:]])

    server = ScriptedUpstream(handle)

    async def scenario() -> None:
        async with server, FaultProxy(server.port) as proxy:
            proxy.up = proxy.down = Fault(slice=size)
            async with running(tmp_path, service(Target("127.0.0.1", proxy.port))) as gateway:
                for name in [*answers, *answers]:
                    answer = await gateway.ask("POST", f"/{name}", b"the body")
                    assert (answer.status, answer.body) == (200, b"hello world")
                assert {request.body for request in server.requests} == {b"the body"}
                assert proxy.accepted == 1
                await gateway.settled(server)

    run(scenario)
