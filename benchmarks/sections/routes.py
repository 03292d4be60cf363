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
    table = Table(
        ("routes", "by host, one route, ns", "any route", "by path, one route", "any route", "built in ms")
    )
    table.rows += [(count, *(round(value) for value in values)) for count, values in times.items()]
    result.tables.append(table)
    growth = [many_ns / few_ns for many_ns, few_ns in zip(times[many], times[FEW], strict=True)]
    result.targets += [
        Target(f"look-up of one route among {many:,}, of {FEW}", max(growth[0], growth[2]), "most", 2.0),
        Target(f"look-up of any route among {many:,}, of {FEW}", max(growth[1], growth[3]), "most", 2.0),
    ]
    rates = _whole(stage, many)
    whole = Table(("routes", "req/s, every request to another route"))
    whole.rows += [(count, round(statistics.median(found))) for count, found in rates.items()]
    result.tables.append(whole)
    result.notes.append(
        "`any route`: every look-up is for a Route chosen at random among all of them, the worst case: the "
        "processor's caches hold none of it, and the difference to `one route` is memory, not work. The whole "
        "gateway was asked like that too, with a new path and header on every request."
    )
    result.raw.update(lookup_ns={str(count): values[:4] for count, values in times.items()}, rates=rates)
    return result


def _lookup(count: int) -> tuple[float, ...]:
    """Nanoseconds for one Route and for any, by host and by path; milliseconds to build the table."""
    chooser = random.Random(1)
    found: list[float] = []
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
        found += [spread(table, [requests[0]] * CALLS), spread(table, requests)]
    return (*found, built)


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
