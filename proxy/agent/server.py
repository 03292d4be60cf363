"""The status port: `/livez`, `/readyz`, `/healthz` and `/metrics`, and nothing else.

GET and HEAD only, one request per connection, bounded in size, time and number.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from http import HTTPStatus

from proxy.agent.readiness import Readiness
from proxy.supervisor.sockets import listen
from proxy.telemetry.prometheus import CONTENT_TYPE

logger = logging.getLogger(__name__)

HEAD_BYTES = 8192
REQUEST_SECONDS = 5.0
CONNECTIONS = 64
Reply = tuple[int, bytes, str]


class StatusServer:
    """Serves what `readiness` and `metrics` say."""

    def __init__(self, readiness: Readiness, metrics: Callable[[], bytes]) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self._open = 0
        self._pages: dict[str, Callable[[], Reply]] = {
            "/livez": lambda: _text(200, "ok"),
            "/readyz": self._readyz,
            "/healthz": lambda: _json(200, self._readiness.document()),
            "/metrics": lambda: (200, self._metrics(), CONTENT_TYPE),
        }

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises StartError if that is not possible."""
        [bound] = listen(host, port, "TIDEGATE_STATUS_PORT", 1)
        self._server = await asyncio.start_server(self._connection, sock=bound, limit=HEAD_BYTES)
        number: int = bound.getsockname()[1]
        return number

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    def _readyz(self) -> Reply:
        document = self._readiness.document()
        return _json(200 if document["ready"] else 503, document)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                method, reply = await self._reply(reader)
                _write(writer, method, reply)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Cancelled only when the loop ends: the connection's task is nobody else's.
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader) -> tuple[str, Reply]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return "GET", _text(431, "the request head is too large")
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return "GET", _text(400, "not an HTTP/1.1 request")
        method, target, _ = words
        if method not in ("GET", "HEAD"):
            return method, _text(405, "only GET and HEAD")
        path = target.partition("?")[0]
        if path == "/metrics":
            # Megabytes of counters to add up: not on the loop that looks after the workers.
            return method, await asyncio.to_thread(self._page, path)
        return method, self._page(path)

    def _page(self, path: str) -> Reply:
        page = self._pages.get(path)
        if page is None:
            return _text(404, f"there are {' '.join(self._pages)}")
        try:
            return page()
        except Exception:
            logger.exception("The status page %s failed.", path)
            return _text(500, "failed; the log says why")


def _text(status: int, text: str) -> Reply:
    return status, f"{text}\n".encode(), "text/plain; charset=utf-8"


def _json(status: int, value: object) -> Reply:
    return status, json.dumps(value, indent=1).encode() + b"\n", "application/json"


def _write(writer: asyncio.StreamWriter, method: str, reply: Reply) -> None:
    status, body, content_type = reply
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n"
        + ("Allow: GET, HEAD\r\n" if status == 405 else "")
        + "\r\n"
    )
    writer.write(head.encode("latin-1") + (b"" if method == "HEAD" else body))
