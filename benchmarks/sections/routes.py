"""Ten Routes against 100,000: the look-up alone, and the whole gateway."""

from __future__ import annotations

import random
import statistics
import time

from benchmarks.load import VARYING, wrk
from benchmarks.peers import start_upstream
from benchmarks.probe_routing import on_one_host, routes, spread
from benchmarks.stage import Broken, Stage
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import Workers, key, make_node, snapshot
from proxy.routing.table import RouteTable

TITLE = "Many routes"
FEW = 10
CALLS = 20_000


def run(stage: Stage) -> Result:
    """Look-ups in this process, then a worker with each configuration."""
    many = stage.options.size(100_000, 10_000)
    result = Result("routes", TITLE)
    times = {count: _lookup(count) for count in (FEW, many)}
    table = Table(("routes", "look-up ns, by host", "look-up ns, by path", "table built in ms"))
    table.rows += [(count, *(round(value) for value in values)) for count, values in times.items()]
    result.tables.append(table)
    worst = max(times[many][index] / times[FEW][index] for index in (0, 1))
    result.targets.append(Target(f"look-up, {many:,} routes, of {FEW}", worst, "most", 2.0))
    rates = _whole(stage, many)
    whole = Table(("routes", "req/s, every request to another route"))
    whole.rows += [(count, round(statistics.median(found))) for count, found in rates.items()]
    result.tables.append(whole)
    result.notes.append(
        "Each look-up is for a Route chosen at random, so that what the processor has cached does not help. The "
        "whole gateway was asked with a new path and header on every request."
    )
    result.raw.update(lookup_ns={str(count): values[:2] for count, values in times.items()}, rates=rates)
    return result


def _lookup(count: int) -> tuple[float, float, float]:
    """Nanoseconds by host and by path, and milliseconds to build the table."""
    chooser = random.Random(1)
    found = []
    built = 0.0
    for make in (routes, on_one_host):
        rows = make(count)
        started = time.perf_counter()
        table = RouteTable(rows)
        built = (time.perf_counter() - started) * 1e3
        picked = [chooser.choice(rows) for _ in range(CALLS)]
        requests = [
            ((row.hosts or ("any.example",))[0].encode(), f"{row.path.value}/orders/17".encode())
            for row in picked
        ]
        found.append(spread(table, requests))
    return found[0], found[1], built


def _whole(stage: Stage, many: int) -> dict[int, list[float]]:
    upstream = start_upstream(stage)
    workers = {
        count: Workers(stage, make_node(stage, f"routes-{count}", snapshot(upstream, routes=count)))
        for count in (FEW, many)
    }
    rates: dict[int, list[float]] = {count: [] for count in workers}
    for turn in range(stage.options.rounds + 1):
        for count, running in workers.items():
            seconds = stage.options.seconds if turn else 1.0
            load = wrk(running.port, "/", key(), seconds, script=(str(VARYING), str(count)))
            running.node.trim_spool()
            if load.errors:
                raise Broken(f"{load.errors} requests were answered with errors")
            if turn:
                rates[count].append(load.rate)
    return rates
