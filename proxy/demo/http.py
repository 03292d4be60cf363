"""A small HTTP/1.1 server for the demo services: whole requests in, whole or streamed answers out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

HEAD_BYTES = 64 * 1024
BODY_BYTES = 8 * 1024 * 1024
IDLE_SECONDS = 75.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its body read."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Answer:
    """`body` is bytes, or parts that are sent as they come."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: object, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(value).encode() + b"\n")


Handler = Callable[[Request], Awaitable[Answer]]


class BadRequest(Exception):
    """The bytes are no request that this server understands."""


class Server:
    """Serves `handler` on each connection; WebSockets are echoed."""

    def __init__(self, handler: Handler, name: str) -> None:
        self._handler = handler
        self._name = name

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listen; the caller keeps and closes the server."""
        return await asyncio.start_server(self._connection, host, port, limit=HEAD_BYTES, backlog=1024)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except (BadRequest, asyncio.LimitOverrunError, ValueError) as error:
            await _send(writer, json_answer({"error": str(error)}, 400), self._name, keep=False)
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        method, target, headers = _parse(head)
        if headers.get("upgrade", "").lower() == "websocket":
            await echo_websocket(head, reader, writer)
            return False
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _read_body(reader, headers)
        parts = urlsplit(target)
        request = Request(method, parts.path, parse_qs(parts.query), headers, body)
        keep = headers.get("connection", "").lower() != "close"
        await _send(writer, await self._handler(request), self._name, keep=keep, bare=method == "HEAD")
        return keep


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest("not an HTTP/1.1 request")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest("a header line has no colon")
        headers[name.lower()] = value.strip()
    return parts[0], parts[1], headers


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_BYTES:
        raise BadRequest("the body is too large")
    return await reader.readexactly(length)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        if size < 0 or len(body) + size > BODY_BYTES:
            raise BadRequest("the body is too large")
        body += (await reader.readexactly(size + 2))[:-2]
    while (await reader.readline()).strip():
        pass
    return bytes(body)


async def _send(
    writer: asyncio.StreamWriter, answer: Answer, name: str, *, keep: bool, bare: bool = False
) -> None:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.content_type}",
        f"X-Served-By: {name}",
        *(f"{key}: {value}" for key, value in answer.headers.items()),
    ]
    if isinstance(answer.body, bytes):
        lines.append(f"Content-Length: {len(answer.body)}")
    else:
        lines.append("Transfer-Encoding: chunked")
    if not keep:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if isinstance(answer.body, bytes):
        writer.write(head if bare else head + answer.body)
    else:
        writer.write(head)
        await _stream(writer, answer.body)
    await writer.drain()


async def _stream(writer: asyncio.StreamWriter, parts: AsyncIterator[bytes]) -> None:
    async for part in parts:
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def echo_websocket(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the handshake in `head`, then send every message back until the client closes."""
    protocol = ServerProtocol(max_size=BODY_BYTES)
    protocol.receive_data(head)
    while True:
        for event in protocol.events_received():
            if isinstance(event, Handshake):
                protocol.send_response(protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
                send = protocol.send_text if event.opcode == Opcode.TEXT else protocol.send_binary
                send(event.data)
        for data in protocol.data_to_send():
            writer.write(data)
        await writer.drain()
        if protocol.close_expected():
            return
        data = await reader.read(65536)
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
            return
