"""Demo traffic: calls to the demo shop through the gateway, good and bad ones mixed as in real life.

A run is bounded in time, rate and number, can be stopped, and gives up when the gateway does not answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from proxy.demo.services import BASE_PATH

USER_AGENT = "tidegate-demo"
SECONDS = 60.0
RATE = 20.0
"""Calls a second."""
GRACE = 5.0
"""So much longer a run may take that is behind its rate."""
IN_FLIGHT = 40
TIMEOUT = 5.0
MAX_UNANSWERED = 20
"""So many calls without an answer, one after the other, end a run."""


class Call(NamedTuple):
    """One kind of call; `key` is `own`, `wrong` or empty for none."""

    weight: int
    method: str
    path: str
    key: str = "own"
    json: dict[str, Any] | None = None


CALLS = (
    Call(30, "GET", "/products/items"),
    Call(6, "GET", "/products/items?q=lamp"),
    Call(14, "GET", "/products/items/2"),
    Call(10, "GET", "/inventory/items?warehouse=north"),
    Call(12, "GET", "/reviews/items?product=1"),
    Call(8, "POST", "/products/orders", json={"product": 1, "quantity": 2}),
    Call(3, "POST", "/reviews/items", json={"product": 1, "stars": 5, "text": "Bright as day."}),
    Call(2, "POST", "/reviews/items", json={"product": 1, "stars": 9}),
    Call(5, "GET", "/products/items/999"),
    Call(4, "GET", "/products/items", key=""),
    Call(2, "GET", "/inventory/items", key="wrong"),
    Call(2, "GET", "/inventory/broken"),
    Call(1, "GET", "/nothing-here"),
    Call(1, "GET", "/products/slow?seconds=1"),
)
"""How many of a hundred calls are of which kind. The many orders meet the limit of their Route."""


@dataclass
class Progress:
    """How far a run is. `statuses` counts answers by status; 0 stands for calls without an answer."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    """In a row, up to now."""

    @property
    def lost(self) -> bool:
        """Nobody answers any more."""
        return self.unanswered >= MAX_UNANSWERED


async def run(
    gateway: str,
    key: str,
    *,
    seconds: float = SECONDS,
    rate: float = RATE,
    stopped: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Progress:
    """Send calls to `gateway` (scheme, host, port) until the time is over or `stopped()` says so.

    `progress` is written to while it goes on. An empty `key` sends none.
    """
    progress = progress if progress is not None else Progress()
    calls = random.Random(4).choices(  # noqa: S311 - the same mix each time, no secret
        CALLS, [call.weight for call in CALLS], k=max(1, round(seconds * rate))
    )
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    started, free = time.monotonic(), asyncio.Semaphore(IN_FLIGHT)
    async with (
        httpx.AsyncClient(
            base_url=gateway + BASE_PATH,
            headers={"user-agent": USER_AGENT},
            limits=limits,
            timeout=TIMEOUT,
            trust_env=False,
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        for number, call in enumerate(calls):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            if stopped() or progress.lost or time.monotonic() - started > seconds + GRACE:
                break
            await free.acquire()
            group.create_task(_send(client, call, key, progress, free))
    return progress


async def _send(
    client: httpx.AsyncClient, call: Call, key: str, progress: Progress, free: asyncio.Semaphore
) -> None:
    shown = {"own": key, "wrong": "not-a-key-of-this-gateway"}.get(call.key, "")
    headers = {"x-api-key": shown} if shown else {}
    progress.sent += 1
    try:
        answer = await client.request(call.method, call.path, headers=headers, json=call.json)
        progress.statuses[answer.status_code] += 1
        progress.unanswered = 0
    except httpx.HTTPError:
        progress.statuses[0] += 1
        progress.unanswered += 1
    finally:
        free.release()
