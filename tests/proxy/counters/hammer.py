"""A process that hits one counter as fast as it can and prints how many hits were admitted.

    python hammer.py KIND PLACE HITS AMOUNT ALGORITHM

`KIND` is shared (`PLACE` is the table) or redis (`PLACE` is the address). It prints `ready` and begins when a
line arrives.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from proxy.counters.base import Limit
from proxy.counters.redis import RedisCounters
from proxy.counters.shared import SharedCounters


def hammer_shared(place: str, hits: int, limit: Limit) -> int:
    store = SharedCounters(Path(place), deadline=10.0)
    begin()
    return sum(store.hit(b"contended", limit).allowed for _ in range(hits))


async def hammer_redis(place: str, hits: int, limit: Limit) -> int:
    store = RedisCounters(place, deadline=10.0)
    await store.hit(b"warm-up", limit)
    begin()
    verdicts = await asyncio.gather(*(store.hit(b"contended", limit) for _ in range(hits)))
    await store.close()
    return sum(verdict.allowed for verdict in verdicts)


def begin() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def main() -> None:
    kind, place, hits, amount, algorithm = sys.argv[1:]
    limit = Limit(algorithm, int(amount), 3600.0)  # type: ignore[arg-type]
    if kind == "shared":
        print(hammer_shared(place, int(hits), limit))
    else:
        print(asyncio.run(hammer_redis(place, int(hits), limit)))


if __name__ == "__main__":
    main()
