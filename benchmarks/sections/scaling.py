"""Two workers against one, by processor time per request: what sharing counters and files costs."""

from __future__ import annotations

import os
import statistics

from benchmarks.load import wrk
from benchmarks.machine import GATEWAY_CORE, LOAD_CORE, cpu
from benchmarks.peers import start_upstream
from benchmarks.stage import Broken, Stage
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import Workers, key, make_node, snapshot

TITLE = "Two workers against one"
PATH = "/svc/s1/orders"


def run(stage: Stage) -> Result:
    """One worker on one core, then two that run at the same time on a core each, in turn."""
    upstream = start_upstream(stage)
    one = Workers(stage, make_node(stage, "one", snapshot(upstream)))
    cores = (GATEWAY_CORE, _second_core())
    two = Workers(stage, make_node(stage, "two", snapshot(upstream)), cores)
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for workers in (one, two):
        _round(workers, 1.0)
    for _ in range(stage.options.rounds):
        for count, workers in ((1, one), (2, two)):
            found[count].append(_round(workers, stage.options.seconds))
    cost = {count: statistics.median(row[0] for row in rows) for count, rows in found.items()}
    rate = {count: statistics.median(row[1] for row in rows) for count, rows in found.items()}
    result = Result("scaling", TITLE)
    table = Table(("workers", "CPU µs per request", "req/s", "requests per CPU second, all cores"))
    for count in (1, 2):
        table.rows.append((count, cost[count], round(rate[count]), round(count * 1e6 / cost[count])))
    result.tables.append(table)
    result.targets.append(
        Target("what two cores carry with two workers, of one with one", 2 * cost[1] / cost[2], "least", 1.6)
    )
    result.notes.append(
        "From processor time per request, since load generator and upstream need cores as well: two workers carry "
        "2 × (µs of one) / (µs of two). The same caller throughout, so both workers count on one shared counter."
    )
    result.raw["rounds"] = found
    return result


def _second_core() -> int:
    """Beside the gateway's; the load's own core only if there is no other."""
    others = sorted(os.sched_getaffinity(0) - {GATEWAY_CORE, LOAD_CORE})
    return others[0] if others else LOAD_CORE


def _round(workers: Workers, seconds: float) -> tuple[float, float]:
    """Microseconds of processor time per request, and requests per second; 32 connections per worker."""
    connections = 32 * len(workers.running)
    before = cpu(workers.pids)
    load = wrk(workers.port, PATH, key(), seconds, connections=connections)
    used = cpu(workers.pids).since(before)
    workers.node.trim_spool()
    if load.errors:
        raise Broken(f"{load.errors} requests were answered with errors")
    return used.total / load.requests * 1e6, load.rate
