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


def test_post_echoes() -> None:
    async def scene(client: httpx.AsyncClient, _: int) -> None:
        answer = await client.post("/items", json={"stars": 5})
        assert (answer.status_code, answer.json()) == (201, {"received": {"stars": 5}})
        assert (await client.post("/items", content=b"{")).status_code == 400

    with_shop("reviews", scene)


def test_other_methods_are_refused() -> None:
    async def scene(client: httpx.AsyncClient, _: int) -> None:
        assert (await client.delete("/items")).headers["allow"] == "GET, HEAD, POST"
        assert (await client.post("/slow")).status_code == 405

    with_shop("reviews", scene)


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
