"""Opens the counter store that the settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from proxy.counters.base import CounterStore
from proxy.counters.memory import MemoryCounters
from proxy.counters.shared import SharedCounters


def open_store(
    kind: Literal["memory", "shared", "redis"], *, path: Path | None = None, redis_url: str | None = None
) -> CounterStore:
    """The store of that kind; `path` is the table of `shared`, `redis_url` the server of `redis`.

    Raises ValueError if what the kind needs is missing. Redis need not be up yet.
    """
    if kind == "memory":
        return MemoryCounters()
    if kind == "shared":
        if path is None:
            raise ValueError("The node-shared counters need the path of their table.")
        return SharedCounters(path)
    if not redis_url:
        raise ValueError("The Redis counters need the address of a server.")
    # The largest import of a worker (`python -X importtime -m proxy.worker --help`), for those who need it.
    from proxy.counters.redis import RedisCounters

    return RedisCounters(redis_url)
