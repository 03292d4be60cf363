"""The endpoints of a demo service.

```
GET  /items            the list; ?limit=N
GET  /items/ID         one item
POST /items            sends back what it was sent
GET  /slow?seconds=N   answers after N seconds (at most 30)
GET  /events?count=N   server-sent events, one every tenth of a second
GET  /echo             WebSocket: every message comes back
GET  /healthz          for the gateway's health checks
```
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from proxy.demo.http import Answer, Request, json_answer
from proxy.demo.services import ITEMS, Item

LONGEST = 30.0
EVENT_PAUSE = 0.1


class Shop:
    """One instance of one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._items: list[Item] = ITEMS[service]

    async def handle(self, request: Request) -> Answer:
        """Answer one request."""
        get = request.method in ("GET", "HEAD")
        if request.path == "/items":
            if get:
                return self._list(request)
            if request.method == "POST":
                return self._echo(request)
            return Answer(405, headers={"Allow": "GET, HEAD, POST"})
        if not get:
            return Answer(405, headers={"Allow": "GET, HEAD"})
        return await self._read(request)

    async def _read(self, request: Request) -> Answer:
        if request.path == "/healthz":
            return json_answer({"service": self.service, "status": "ok"})
        if request.path.startswith("/items/"):
            return self._detail(request.path.removeprefix("/items/"))
        if request.path == "/slow":
            seconds = _number(request, "seconds", 1.0)
            await asyncio.sleep(seconds)
            return json_answer({"slept": seconds})
        if request.path == "/events" and request.method == "GET":
            events = _events(self.service, int(_number(request, "count", 5, 1000)))
            return Answer(200, events, "text/event-stream", {"Cache-Control": "no-store"})
        return json_answer({"error": "there is nothing here"}, 404)

    def _list(self, request: Request) -> Answer:
        limit = int(_number(request, "limit", 100, 100))
        return json_answer({"items": self._items[:limit], "total": len(self._items)})

    def _detail(self, number: str) -> Answer:
        for item in self._items:
            if str(item["id"]) == number:
                return json_answer(item)
        return json_answer({"error": f"there is no item {number}"}, 404)

    def _echo(self, request: Request) -> Answer:
        try:
            value = json.loads(request.body or b"null")
        except ValueError:
            return json_answer({"error": "the body is not JSON"}, 400)
        return json_answer({"received": value}, 201)


def _number(request: Request, name: str, default: float, most: float = LONGEST) -> float:
    try:
        value = float(request.query.get(name, [str(default)])[0])
    except ValueError:
        return default
    return min(max(value, 0.0), most) if value == value else default


async def _events(service: str, count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        data = json.dumps({"service": service, "number": number})
        yield f"id: {number}\nevent: tick\ndata: {data}\n\n".encode()
        await asyncio.sleep(EVENT_PAUSE)
