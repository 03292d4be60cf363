"""The endpoints of a demo service. `openapi/SERVICE.yaml` describes them for the portal.

```
GET  /items            a page of the list; ?limit=N&offset=N, ?q=WORDS, and ?FIELD=VALUE for some fields
GET  /items/ID         one item
POST /orders           products: an order for one product
POST /items            reviews: a new review, which is checked and not kept
GET  /slow?seconds=N   answers after N seconds (at most 30)
GET  /broken           fails with 500, to see what the gateway makes of it
GET  /events?count=N   server-sent events, one every tenth of a second
GET  /echo             WebSocket: every message comes back
GET  /healthz          for the gateway's health checks
```
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

from proxy.demo.http import Answer, Request, json_answer
from proxy.demo.services import ITEMS, Item

LONGEST = 30.0
EVENT_PAUSE = 0.1
PAGE = 20
MOST = 100
FILTERS = {"products": ("tags",), "inventory": ("product", "warehouse"), "reviews": ("product", "stars")}
"""The fields that a list can be asked for by."""


class Refused(Exception):
    """What was sent cannot be used."""


class Shop:
    """One instance of one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._items: list[Item] = ITEMS[service]
        makers = {"products": ("/orders", _order), "reviews": ("/items", _review)}
        self._posts: dict[str, Callable[[Item], Item]] = dict([makers[service]] if service in makers else [])

    async def handle(self, request: Request) -> Answer:
        """Answer one request."""
        if request.method == "POST" and request.path in self._posts:
            return self._create(request)
        if request.method in ("GET", "HEAD"):
            return await self._read(request)
        allowed = ["POST"] if request.path in self._posts else []
        if request.path != "/orders":
            allowed = ["GET", "HEAD", *allowed]
        return Answer(405, headers={"Allow": ", ".join(allowed)} if allowed else {})

    async def _read(self, request: Request) -> Answer:
        if request.path == "/items":
            return self._list(request)
        if request.path.startswith("/items/"):
            return self._detail(request.path.removeprefix("/items/"))
        if request.path == "/healthz":
            return json_answer({"service": self.service, "status": "ok"})
        if request.path == "/broken":
            return json_answer({"error": "something in the service is broken"}, 500)
        if request.path == "/slow":
            seconds = _number(request, "seconds", 1.0)
            await asyncio.sleep(seconds)
            return json_answer({"slept": seconds})
        if request.path == "/events" and request.method == "GET":
            events = _events(self.service, int(_number(request, "count", 5, 1000)))
            return Answer(200, events, "text/event-stream", {"Cache-Control": "no-store"})
        return json_answer({"error": "there is nothing here"}, 404)

    def _list(self, request: Request) -> Answer:
        found = [item for item in self._items if self._wanted(item, request)]
        limit = int(_number(request, "limit", PAGE, MOST))
        offset = int(_number(request, "offset", 0, 1_000_000))
        page = {"items": found[offset : offset + limit], "total": len(found)}
        return json_answer({**page, "limit": limit, "offset": offset})

    def _wanted(self, item: Item, request: Request) -> bool:
        words = request.query.get("q", [""])[0].casefold().split()
        text = f"{item.get('name', '')} {item.get('text', '')}".casefold()
        if not all(word in text for word in words):
            return False
        asked = [name for name in FILTERS[self.service] if name in request.query]
        return all(_holds(item[name], request.query[name][0]) for name in asked)

    def _detail(self, number: str) -> Answer:
        item = _find(self._items, number)
        return json_answer(item) if item else json_answer({"error": f"there is no item {number}"}, 404)

    def _create(self, request: Request) -> Answer:
        try:
            sent = json.loads(request.body or b"null")
        except ValueError:
            return json_answer({"error": "the body is not JSON"}, 400)
        try:
            return json_answer(self._posts[request.path](sent if isinstance(sent, dict) else {}), 201)
        except Refused as error:
            return json_answer({"error": str(error)}, 422)


def _order(sent: Item) -> Item:
    product, quantity = _sold(sent), _whole(sent, "quantity", 1, 100)
    total = Decimal(product["price"]) * quantity
    return {
        "order": secrets.token_hex(4),
        "product": product["id"],
        "quantity": quantity,
        "total": str(total),
        "currency": product["currency"],
    }


def _review(sent: Item) -> Item:
    product, stars, text = _sold(sent), _whole(sent, "stars", 1, 5), sent.get("text", "")
    if not isinstance(text, str) or len(text) > 500:
        raise Refused("text must be a text of 500 characters at most")
    return {"id": len(ITEMS["reviews"]) + 1, "product": product["id"], "stars": stars, "text": text}


def _sold(sent: Item) -> Item:
    product = _find(ITEMS["products"], str(sent.get("product")))
    if product is None:
        raise Refused("product must be the id of a product")
    return product


def _whole(sent: Item, name: str, least: int, most: int) -> int:
    value = sent.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Refused(f"{name} must be a whole number from {least} to {most}")
    return value


def _find(items: list[Item], number: str) -> Item | None:
    return next((item for item in items if str(item["id"]) == number), None)


def _holds(value: object, wanted: str) -> bool:
    return wanted in value if isinstance(value, list) else str(value) == wanted


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
