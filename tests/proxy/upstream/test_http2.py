"""HTTP/2 upstreams, against a real HTTP/2 server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
from pathlib import Path

import h2.errors
import pytest

from proxy.config.snapshot import Target
from proxy.telemetry.record import CLIENT_ABORT, OK, TIMEOUT, UPSTREAM_ERROR
from proxy.upstream.heads import BadAnswer
from proxy.upstream.http2 import answer_head
from tests.proxy.config.pem import make_pair
from tests.proxy.upstream.stage import run, running, service, still, until
from tests.upstreams_h2 import Http2Server, Stream, server_context


async def echo(stream: Stream) -> None:
    """Answer with the body that came."""
    await stream.complete.wait()
    await stream.answer(body=bytes(stream.body))


async def greet(stream: Stream) -> None:
    """Answer "ok"."""
    await stream.answer()


def test_the_request_is_the_same_as_over_http1(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Http2Server(greet) as server,
            running(tmp_path, service(server, protocol="h2c")) as gateway,
        ):
            answer = await gateway.ask(
                "GET", "/a%20b?q=%2f&x", None, "X-Custom: 1", "Connection: x-hop", "X-Hop: 1"
            )
            (seen,) = server.requests
            record = await gateway.record()
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.headers[b"x-request-id"].decode() == record.request_id
        assert seen.get(b":path") == b"/a%20b?q=%2f&x"
        assert seen.get(b":method") == b"GET" and seen.get(b":scheme") == b"http"
        assert seen.get(b":authority") == f"127.0.0.1:{server.port}".encode()
        names = {name for name, _ in seen.headers if not name.startswith(b":")}
        expected = (
            "x-custom x-forwarded-for x-real-ip x-forwarded-proto x-forwarded-host x-request-id traceparent"
        )
        assert names == {name.encode() for name in expected.split()}
        assert seen.get(b"x-forwarded-host") == b"a.test"
        assert (record.state, record.tries, record.status) == (OK, 1, 200)
        assert record.target == f"127.0.0.1:{server.port}"

    run(scenario)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_bodies_stream_both_ways(tmp_path: Path, framing: str) -> None:
    body = os.urandom(3_000_000)

    async def scenario() -> None:
        async with Http2Server(echo) as server, running(tmp_path, service(server, protocol="h2c")) as gateway:
            if framing == "length":
                answer = await gateway.ask("POST", "/", body)
            else:
                wire = (
                    b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in cut(body, 50_000)) + b"0\r\n\r\n"
                )
                answer = await gateway.ask("POST", "/", wire, "Transfer-Encoding: chunked")
            assert answer.status == 200
            assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()
            record = await gateway.record()
            assert (record.bytes_in, record.bytes_out) == (len(body), len(body))

    run(scenario)


def cut(data: bytes, size: int) -> list[bytes]:
    """In pieces."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_a_kept_connection_serves_the_next_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Http2Server(greet) as server,
            running(tmp_path, service(server, protocol="h2c")) as gateway,
        ):
            for _ in range(5):
                assert (await gateway.ask()).body == b"ok"
            assert server.connections == 1
            assert gateway.pool.open == len(server.open) == 1

    run(scenario)


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [("HEAD", 200, [(b"content-length", b"5")]), ("GET", 204, []), ("GET", 304, [(b"etag", b'"a"')])],
)
def test_answers_without_a_body(
    tmp_path: Path, method: str, status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    async def handle(stream: Stream) -> None:
        stream.head(status, headers, end=True)

    async def scenario() -> None:
        async with (
            Http2Server(handle) as server,
            running(tmp_path, service(server, protocol="h2c")) as gateway,
        ):
            for _ in range(2):
                answer = await gateway.ask(method)
                assert (answer.status, answer.body, answer.whole) == (status, b"", True)
                for name, value in headers:
                    assert answer.headers[name] == value
            assert server.connections == 1

    run(scenario)


def test_hop_by_hop_and_forged_headers_of_the_answer_do_not_pass(tmp_path: Path) -> None:
    async def handle(stream: Stream) -> None:
        await stream.answer(headers=[(b"x-request-id", b"forged"), (b"x-kept", b"1"), (b"keep-alive", b"5")])

    async def scenario() -> None:
        async with (
            Http2Server(handle) as server,
            running(tmp_path, service(server, protocol="h2c")) as gateway,
        ):
            answer = await gateway.ask()
            if answer.status == 200:
                assert answer.headers[b"x-kept"] == b"1"
                assert b"keep-alive" not in answer.headers
                assert answer.headers[b"x-request-id"] != b"forged"
            else:
                assert answer.status == 502

    run(scenario)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, [(b"a", b"b\r\nx: y")]),
        (200, [(b"a b", b"c")]),
        (200, [(b"a", b"\0")]),
        (200, [(b"content-length", b"1"), (b"content-length", b"2")]),
        (200, [(b"transfer-encoding", b"chunked")]),
        (200, [(b"a", b"b")] * 101),
        (200, [(b"a", b"b" * 70_000)]),
        (101, []),
        (600, []),
    ],
)
def test_malformed_heads_are_refused(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadAnswer):
        answer_head(status, headers)


def test_tls_is_verified_as_configured(tmp_path: Path) -> None:
    chain, key = make_pair("service.test")
    (tmp_path / "chain.pem").write_text(chain)
    (tmp_path / "key.pem").write_text(key)

    async def status(folder: str, **options: object) -> tuple[int, str]:
        context = server_context(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))
        async with Http2Server(greet, context) as server:
            upstream = service(server, protocol="h2", **options)
            async with running(tmp_path / folder, upstream) as gateway:
                answer = await gateway.ask()
                return answer.status, (await gateway.record()).code

    async def scenario() -> None:
        assert await status("ca", tls_ca=chain, tls_server_name="service.test") == (200, "")
        assert await status("none", tls_verify=False) == (200, "")
        assert await status("name", tls_ca=chain) == (502, "upstream-unreachable")
        assert await status("system", tls_server_name="service.test") == (502, "upstream-unreachable")

    run(scenario)


def test_a_server_without_http2_is_an_error(tmp_path: Path) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        target = Target("127.0.0.1", server.sockets[0].getsockname()[1])
        async with running(tmp_path, service(target, protocol="h2c", retries=0)) as gateway:
            assert (await gateway.ask()).status == 502
            await gateway.settled()
        server.close()

    run(scenario)


def test_a_refused_connection_goes_to_the_next_target_with_its_body(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Http2Server(echo) as dead:
            pass
        async with (
            Http2Server(echo) as server,
            running(tmp_path, service(dead.target, server.target, protocol="h2c")) as gateway,
        ):
            for _ in range(4):
                answer = await gateway.ask("POST", "/", b"once")
                assert (answer.status, answer.body) == (200, b"once")
            assert len(server.requests) == 4

    run(scenario)


def test_a_stalled_service_is_a_timeout_and_its_post_is_not_repeated(tmp_path: Path) -> None:
    async def stall(stream: Stream) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        upstream = {"protocol": "h2c", "first_byte_timeout": 0.2}
        async with Http2Server(stall) as server, running(tmp_path, service(server, **upstream)) as gateway:
            answer = await gateway.ask("POST", "/", b"x")
            record = await gateway.record()
            assert (answer.status, record.state, record.code) == (504, TIMEOUT, "upstream-timeout")
            assert len(server.requests) == 1
            await until(lambda: not server.open, "the connection's end")
            await gateway.settled()

    run(scenario)


def test_an_answer_that_stops_is_cut_off_for_the_client(tmp_path: Path) -> None:
    async def stop(stream: Stream) -> None:
        stream.head(200, [])
        await stream.data(b"half")
        if stream.get(b":path") == b"/reset":
            stream.server.h2.reset_stream(stream.number, h2.errors.ErrorCodes.INTERNAL_ERROR)
            stream.server.flush()
        elif stream.get(b":path") == b"/close":
            stream.server.transport.close()

    async def scenario() -> None:
        upstream = {"protocol": "h2c", "idle_timeout": 0.2}
        async with Http2Server(stop) as server, running(tmp_path, service(server, **upstream)) as gateway:
            for path in ("/reset", "/close", "/stall"):
                answer = await gateway.ask("GET", path)
                record = await gateway.record()
                assert (answer.body, answer.whole) == (b"half", False), path
                assert record.state == UPSTREAM_ERROR and record.tries == 1
            await gateway.settled()

    run(scenario)


@pytest.mark.parametrize(("error", "calls"), [("REFUSED_STREAM", 2), ("INTERNAL_ERROR", 1)])
def test_a_post_is_repeated_only_if_the_service_says_it_did_nothing(
    tmp_path: Path, error: str, calls: int
) -> None:
    async def refuse(stream: Stream) -> None:
        if len(server.requests) > 1:
            await stream.answer()
        else:
            stream.server.h2.reset_stream(stream.number, h2.errors.ErrorCodes[error])
            stream.server.flush()

    server = Http2Server(refuse)

    async def scenario() -> None:
        async with server, running(tmp_path, service(server, protocol="h2c")) as gateway:
            answer = await gateway.ask("DELETE" if error == "REFUSED_STREAM" else "POST", "/")
            assert answer.status == (200 if calls == 2 else 502)
            assert len(server.requests) == calls

    run(scenario)


def test_a_kept_connection_that_the_service_closed_is_not_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Http2Server(echo) as server, running(tmp_path, service(server, protocol="h2c")) as gateway:
            for number in range(3):
                answer = await gateway.ask("POST", "/", b"%d" % number)
                assert (answer.status, answer.body) == (200, b"%d" % number)
                for connection in list(server.open):
                    connection.h2.close_connection()
                    connection.flush()
                    connection.transport.close()
                await until(lambda: not server.open, "the close")
            assert server.connections == 3
            assert len(server.requests) == 3

    run(scenario)


def test_a_client_that_leaves_resets_its_own_call_alone(tmp_path: Path) -> None:
    async def endless(stream: Stream) -> None:
        stream.head(200, [])
        while not stream.server.gone:
            await stream.data(b"x" * 10_000)
            await asyncio.sleep(0.01)

    async def scenario() -> None:
        async with (
            Http2Server(endless) as server,
            running(tmp_path, service(server, protocol="h2c")) as gateway,
        ):
            async with gateway.client() as staying:
                staying.send("GET", "/")
                await staying.read_head()
                for _ in range(10):
                    async with gateway.client() as leaving:
                        leaving.send("GET", "/")
                        await leaving.read_head()
                records = await gateway.records(10)
                assert {record.state for record in records} == {CLIENT_ABORT}
                await until(lambda: len(server.open) == 1 and gateway.pool.open == 1, "the resets")
                before = server.requests[0].server.sent
                await until(
                    lambda: server.requests[0].server.sent > before + 50_000, "the other call goes on"
                )
            await until(lambda: not server.open, "the end")
            await gateway.settled()

    run(scenario)


def test_clients_that_leave_while_it_connects_leave_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        upstream = {"protocol": "h2c", "max_connections": 4}
        async with Http2Server(echo) as server, running(tmp_path, service(server, **upstream)) as gateway:
            for number in range(40):
                async with gateway.client() as client:
                    client.send("POST", "/", b"x" * (number * 10))
                    await asyncio.sleep(number % 5 * 0.001)
            await until(lambda: gateway.engine.core.in_flight == 0, "all are accounted for")
            assert (await gateway.ask("POST", "/", b"after")).body == b"after"
            await until(lambda: gateway.pool.open == len(server.open) <= 4, "the baseline")

    run(scenario)


def test_a_client_that_does_not_read_stops_the_service(tmp_path: Path) -> None:
    size = 50_000_000

    async def flood(stream: Stream) -> None:
        await stream.answer(body=b"x" * size)

    async def scenario() -> None:
        async with (
            Http2Server(flood) as server,
            running(tmp_path, service(server, protocol="h2c")) as gateway,
        ):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            async with gateway.client() as slow:
                slow.send("GET", "/")
                await slow.read_head()
                assert await still(lambda: server.requests[0].server.sent, "the answer") < size
                assert (
                    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                ) * 1024 < size + 30_000_000

    run(scenario)


def test_a_service_that_does_not_read_stops_the_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Http2Server(echo) as server, running(tmp_path, service(server, protocol="h2c")) as gateway:
            server.reading = False
            async with gateway.client() as client:
                body = b"x" * 9_000_000
                client.send("POST", "/", body)
                await until(
                    lambda: server.requests and len(server.requests[0].body) >= 65_535, "the window is full"
                )
                await asyncio.sleep(0.2)
                (connection,) = gateway.pool.instances[0].connections
                assert connection.waiting_bytes < 1_000_000
                assert client.writer.transport.get_write_buffer_size() > 1_000_000

    run(scenario)
