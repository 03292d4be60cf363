"""The demo's server over raw sockets."""

from __future__ import annotations

import asyncio

from proxy.demo.http import Answer, Request, Server, json_answer


async def handler(request: Request) -> Answer:
    return json_answer({"method": request.method, "path": request.path, "body": request.body.decode()})


async def talk(data: bytes) -> bytes:
    server = await Server(handler, "test").start("127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer
    finally:
        server.close()


def ask(data: bytes) -> bytes:
    return asyncio.run(talk(data))


def test_two_requests_on_one_connection() -> None:
    answer = ask(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b?q=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b'"path": "/a"' in answer
    assert b'"path": "/b"' in answer


def test_bodies_by_length_and_in_chunks() -> None:
    assert b'"body": "abc"' in ask(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
    chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    assert b'"body": "abcde"' in ask(chunked)


def test_expect_continue() -> None:
    answer = ask(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


def test_head_has_no_body() -> None:
    assert ask(b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n").endswith(b"\r\n\r\n")


def test_junk_gets_400() -> None:
    assert ask(b"junk\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(b"GET / HTTP/1.1\r\nno colon\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert ask(b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n").startswith(b"HTTP/1.1 400 ")
