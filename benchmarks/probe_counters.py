"""Measures the counters: microseconds per hit in each store, of the whole `rate-limit` hook, and per lock.

    python benchmarks/probe_counters.py

Redis is measured if `redis-server` is installed: hits of one loop tick share a round trip, so the figure is
per hit of 50 concurrent ones.
"""

from __future__ import annotations

import asyncio
import mmap
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from proxy.counters.base import ImmediateCounters, Limit
from proxy.counters.locks import FileLocks, Locks, open_locks
from proxy.counters.memory import MemoryCounters
from proxy.counters.redis import RedisCounters
from proxy.counters.shared import SharedCounters
from proxy.exchange import Exchange
from proxy.pipeline.services import Services
from proxy.policies.rate_limit import Rate, RateLimit

ROUNDS, CALLS, TOGETHER = 5, 20_000, 50
PLENTY = 100_000_000


def measure(call: Callable[[], object]) -> float:
    """Best of several rounds, in microseconds per call."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter() - begin)
    return best / CALLS * 1e6


def show(name: str, microseconds: float) -> None:
    """One line of the result."""
    print(f"{name:44} {microseconds:7.2f} µs")


def probe_store(name: str, store: ImmediateCounters) -> None:
    """One store under each algorithm, under two limits at once, and behind the policy."""
    for algorithm in ("fixed-window", "sliding-window", "gcra"):
        limit = Limit(algorithm, PLENTY, 3600.0)  # type: ignore[arg-type]
        key = f"probe:{algorithm}".encode()
        show(f"{name}, {algorithm}", measure(lambda key=key, limit=limit: store.hit(key, limit)))  # type: ignore[misc]
    full = Limit("sliding-window", 1, 86_400.0)
    show(f"{name}, refused", measure(lambda: store.hit(b"probe:full", full)))
    pair = [(b"probe:a", Limit("sliding-window", PLENTY, 60.0)), (b"probe:b", Limit("gcra", PLENTY, 3600.0))]
    show(f"{name}, two limits at once", measure(lambda: store.hit_all(pair)))


def probe_policy(name: str, store: ImmediateCounters) -> None:
    """The whole hook of `rate-limit` by address, header lines included."""
    config = RateLimit.Config(limits=(Rate(amount=PLENTY),), by="ip")
    policy = RateLimit(config, Services(counters=store, identities=None))  # type: ignore[arg-type]
    caller = Exchange(client_ip="192.0.2.7")

    def call() -> None:
        caller.late = None
        policy.on_request(caller)
        if caller.late is not None:
            caller.late.lines(caller.late_of)

    show(f"{name}, whole policy hook", measure(call))


def probe_locks(folder: Path) -> None:
    """Both kinds of lock, taken and given while nobody else wants them."""
    with (folder / "locks").open("w+b") as file:
        file.truncate(mmap.PAGESIZE)
        mapped = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        kinds: dict[str, Locks] = {
            "as used here": open_locks(mapped, file.fileno(), 0),
            "byte range of the file": FileLocks(file.fileno(), 0),
        }
        for name, locks in kinds.items():
            locks.make(1)
            take, give, lock = locks.take, locks.give, locks.lock(0)
            show(f"lock, {name}", measure(lambda: (take(lock), give(lock))))  # noqa: B023
            locks.close()


async def probe_redis(socket: Path) -> None:
    """Hits in groups, as the requests of one loop tick make them."""
    store = RedisCounters(f"unix://{socket}", deadline=1.0)
    limit = Limit("sliding-window", PLENTY, 3600.0)
    for together in (1, TOGETHER):
        begin = time.perf_counter()
        for _ in range(5000 // together):
            await asyncio.gather(*(store.hit(b"probe", limit) for _ in range(together)))
        show(f"redis, {together} at once", (time.perf_counter() - begin) / 5000 * 1e6)
    await store.close()


def with_redis(folder: Path, server: str) -> None:
    """Run the Redis probe against a server of its own."""
    socket = folder / "redis"
    process = subprocess.Popen([server, "--port", "0", "--unixsocket", str(socket), "--save", ""], stdout=-3)
    try:
        while not socket.exists():
            time.sleep(0.01)
        asyncio.run(probe_redis(socket))
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as folder:
        shared = SharedCounters(Path(folder) / "counters")
        for name, store in (("memory", MemoryCounters()), ("shared", shared)):
            probe_store(name, store)
            probe_policy(name, store)
        probe_locks(Path(folder))
        server = shutil.which("redis-server")
        if server is not None:
            with_redis(Path(folder), server)


if __name__ == "__main__":
    main()
