"""How long a look-up takes with 10 and with 100,000 Routes, and how long a table takes to build.

Run: python -m benchmarks.probe_routing
"""

from __future__ import annotations

import random
import time
import timeit
from collections.abc import Callable

from proxy.config.snapshot import PathMatch, Route
from proxy.http.path import canonical
from proxy.routing.overlap import find_overlaps
from proxy.routing.table import RouteTable

CALLS = 20_000


def routes(count: int) -> list[Route]:
    """Routes as an organisation has them: ten per host, prefixes, some with methods."""
    return [
        Route(
            name=f"route-{number}",
            api="shop",
            path=PathMatch("prefix", f"/api/v1/service{number % 10}"),
            hosts=(f"team{number // 10}.example.com",),
            order=number,
        )
        for number in range(count)
    ]


def on_one_host(count: int) -> list[Route]:
    """All Routes under one host."""
    return [
        Route(f"route-{number}", "shop", PathMatch("prefix", f"/svc/s{number}")) for number in range(count)
    ]


def nanoseconds(call: Callable[[], object]) -> float:
    """The best of five rounds, per call."""
    return min(timeit.repeat(call, number=CALLS, repeat=5)) / CALLS * 1e9


def spread(table: RouteTable, requests: list[tuple[bytes, bytes]]) -> float:
    """Nanoseconds per look-up when every request asks for another Route: caches do not help."""
    match, best = table.match, float("inf")
    for _ in range(3):
        started = time.perf_counter()
        for host, path in requests:
            match(host, path, b"GET", (), b"")
        best = min(best, time.perf_counter() - started)
    return best / len(requests) * 1e9


def main() -> None:
    """Print the figures."""
    chooser = random.Random(1)
    for count in (10, 1_000, 100_000):
        for make in (routes, on_one_host):
            rows = make(count)
            started = time.perf_counter()
            table = RouteTable(rows)
            built = time.perf_counter() - started
            picked = [chooser.choice(rows) for _ in range(CALLS)]
            requests = [
                ((row.hosts or ("any.example",))[0].encode(), f"{row.path.value}/orders/17".encode())
                for row in picked
            ]
            host, path = requests[0]
            one = nanoseconds(lambda t=table, h=host, p=path: t.match(h, p, b"GET", (), b""))  # type: ignore[misc]
            print(
                f"{make.__name__:12} {count:>7} routes: built {built * 1e3:7.1f} ms,"
                f" one route {one:5.0f} ns, any route {spread(table, requests):5.0f} ns"
            )
    for target in (
        b"/api/v1/service3/orders/17",
        b"/api/v1/service3/orders/17?page=2&size=50",
        b"/a/../%7euser//x",
    ):
        print(f"canonical {target.decode():45} {nanoseconds(lambda t=target: canonical(t)):5.0f} ns")  # type: ignore[misc]
    rows = routes(10_000)
    started = time.perf_counter()
    found = find_overlaps(rows)
    print(f"overlaps of 10,000 routes: {time.perf_counter() - started:.2f} s, {len(found)} found")


if __name__ == "__main__":
    main()
