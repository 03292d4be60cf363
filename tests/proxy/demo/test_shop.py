"""The endpoints of a demo service, through real clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest
import websockets

from proxy.demo.http import Server
from proxy.demo.services import INSTANCES, ITEMS, SERVICES, port_of
from proxy.demo.shop import Shop


def with_shop(service: str, scene: Callable[[httpx.AsyncClient, int], Awaitable[None]]) -> None:
    async def run() -> None:
        server = await Server(Shop(service).handle, "test").start("127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                await scene(client, port)
        finally:
            server.close()

    asyncio.run(run())


@pytest.mark.parametrize("service", SERVICES)
def test_list_and_detail(service: str) -> None:
    async def scene(client: httpx.AsyncClient, _: int) -> None:
        whole = (await client.get("/items")).json()
        assert whole["items"] == ITEMS[service]
        assert len((await client.get("/items?limit=1")).json()["items"]) == 1
        assert (await client.get("/items/2")).json() == ITEMS[service][1]
        assert (await client.get("/items/99")).status_code == 404
        assert (await client.get("/healthz")).json() == {"service": service, "status": "ok"}

    with_shop(service, scene)


def test_lists_are_searched_filtered_and_cut() -> None:
    async def ids(client: httpx.AsyncClient, query: str) -> list[int]:
        return [item["id"] for item in (await client.get(f"/items?{query}")).json()["items"]]

    async def products(client: httpx.AsyncClient, _: int) -> None:
        assert await ids(client, "q=LAMP") == [9] and await ids(client, "tags=brass") == [5, 6, 12]
        assert await ids(client, "limit=2&offset=3") == [4, 5] and await ids(client, "limit=x") == [
            *range(1, 13)
        ]
        page = (await client.get("/items?tags=paper&limit=1")).json()
        assert (page["total"], page["limit"], page["offset"]) == (2, 1, 0)

    async def reviews(client: httpx.AsyncClient, _: int) -> None:
        assert await ids(client, "product=1&stars=4") == [2] and await ids(client, "q=it+is") == [4]

    with_shop("products", products)
    with_shop("reviews", reviews)


def test_an_order_is_checked() -> None:
    async def scene(client: httpx.AsyncClient, _: int) -> None:
        answer = await client.post("/orders", json={"product": 1, "quantity": 2})
        assert answer.status_code == 201 and answer.json()["total"] == "78.00"
        order: dict[str, int] = {"product": 1, "quantity": 1}
        for wrong in ({**order, "product": 99}, {**order, "quantity": 0}, {"product": 1}, {}):
            assert (await client.post("/orders", json=wrong)).status_code == 422
        assert (await client.post("/orders", json=[])).status_code == 422
        assert (await client.post("/orders", content=b"{")).status_code == 400

    with_shop("products", scene)


def test_a_review_is_checked_and_not_kept() -> None:
    async def scene(client: httpx.AsyncClient, _: int) -> None:
        answer = await client.post("/items", json={"product": 1, "stars": 5, "text": "Good."})
        assert (answer.status_code, answer.json()["stars"]) == (201, 5)
        assert (await client.post("/items", json={"product": 1, "stars": 9})).status_code == 422
        assert (await client.post("/items", json={"product": 1, "stars": 1, "text": 7})).status_code == 422
        assert (await client.get("/items")).json()["items"] == ITEMS["reviews"]

    with_shop("reviews", scene)


def test_other_methods_are_refused() -> None:
    async def scene(client: httpx.AsyncClient, _: int) -> None:
        assert (await client.delete("/items")).headers["allow"] == "GET, HEAD, POST"
        assert (await client.post("/slow")).headers["allow"] == "GET, HEAD"
        assert (await client.get("/broken")).status_code == 500

    async def products(client: httpx.AsyncClient, _: int) -> None:
        assert (await client.delete("/orders")).headers["allow"] == "POST"
        assert (await client.post("/items")).status_code == 405

    with_shop("reviews", scene)
    with_shop("products", products)


def test_slow_takes_its_time() -> None:
    async def scene(client: httpx.AsyncClient, _: int) -> None:
        started = time.monotonic()
        assert (await client.get("/slow?seconds=0.2")).json() == {"slept": 0.2}
        assert time.monotonic() - started >= 0.2
        assert (await client.get("/slow?seconds=-5")).json() == {"slept": 0.0}

    with_shop("products", scene)


def test_events_are_streamed() -> None:
    async def scene(client: httpx.AsyncClient, _: int) -> None:
        async with client.stream("GET", "/events?count=3") as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            lines = [line async for line in answer.aiter_lines()]
        assert [line for line in lines if line.startswith("id:")] == ["id: 0", "id: 1", "id: 2"]

    with_shop("products", scene)


def test_websocket_echo() -> None:
    async def scene(_: httpx.AsyncClient, port: int) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{port}/echo", proxy=None) as socket:
            for message in ("hello", b"\x00\x01", "x" * 100_000):
                await socket.send(message)
                assert await socket.recv() == message

    with_shop("products", scene)


def test_ports_count_up_from_the_base() -> None:
    assert [port_of(*instance, base=9000) for instance in INSTANCES] == list(range(9000, 9006))
