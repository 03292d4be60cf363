"""Demo traffic against a real server: what is sent, how much of it, and that it ends."""

from __future__ import annotations

import asyncio
import socket
import time

from proxy.demo.http import Answer, Request, Server, json_answer
from proxy.demo.traffic import CALLS, MAX_UNANSWERED, USER_AGENT, Progress, run


def against(handler: object, **options: object) -> tuple[Progress, list[Request]]:
    """A run against a server that answers as `handler` does; the requests that came."""
    seen: list[Request] = []

    async def noted(request: Request) -> Answer:
        seen.append(request)
        return await handler(request)  # type: ignore[operator, no-any-return]

    async def scene() -> Progress:
        server = await Server(noted, "test").start("127.0.0.1", 0)
        try:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await run(url, "the-key", **options)  # type: ignore[arg-type]
        finally:
            server.close()

    return asyncio.run(scene()), seen


async def fine(_: Request) -> Answer:
    return json_answer({})


def test_the_mix_is_whole() -> None:
    assert sum(call.weight for call in CALLS) == 100
    progress, seen = against(fine, seconds=0.5, rate=200)
    assert progress.sent == len(seen) == 100 and progress.statuses == {200: 100}
    assert {request.headers["user-agent"] for request in seen} == {USER_AGENT}
    keys = {request.headers.get("x-api-key") for request in seen}
    assert keys == {None, "the-key", "not-a-key-of-this-gateway"}
    assert {request.path.split("/")[1] for request in seen} == {"shop"}


def test_it_keeps_to_the_rate() -> None:
    started = time.monotonic()
    progress, _ = against(fine, seconds=0.6, rate=50)
    assert progress.sent == 30 and 0.5 < time.monotonic() - started < 8


def test_it_stops_when_told() -> None:
    progress = Progress()
    against(fine, seconds=60, rate=100, progress=progress, stopped=lambda: progress.sent >= 5)
    assert progress.sent == 5 == progress.statuses.total()


def test_it_gives_up_when_nobody_answers() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    progress = asyncio.run(run(f"http://127.0.0.1:{port}", "", seconds=60, rate=500))
    assert progress.lost and MAX_UNANSWERED <= progress.sent < 200
    assert set(progress.statuses) == {0}
