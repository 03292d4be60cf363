"""Thousands of keep-alive connections on which nothing happens: their memory, and what they cost the others."""

from __future__ import annotations

import statistics

from benchmarks.load import wrk
from benchmarks.machine import cpu, private_memory
from benchmarks.peers import start_upstream
from benchmarks.samples import Client
from benchmarks.stage import Broken, Stage
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import Workers, key, make_node, snapshot

TITLE = "Idle connections"
PATH = "/svc/s1/orders"


def run(stage: Stage) -> Result:
    """Rounds without and with the idle connections, in turn, on one worker."""
    count = stage.options.size(5_000, 500)
    upstream = start_upstream(stage)
    workers = Workers(stage, make_node(stage, "idle", snapshot(upstream)))
    _load(workers, 1.0)
    rounds: dict[int, list[tuple[float, float]]] = {0: [], count: []}
    costs: list[float] = []
    for _ in range(stage.options.rounds):
        rounds[0].append(_load(workers, stage.options.seconds))
        before = private_memory(workers.pids[0])
        idle = Client(stage, "idle", port=workers.port, path=PATH, key=key(), connections=count)
        idle.wait_ready()
        costs.append((private_memory(workers.pids[0]) - before) / count / 1024)
        rounds[count].append(_load(workers, stage.options.seconds))
        idle.stop()
    middle = {
        number: [statistics.median(column) for column in zip(*found, strict=True)]
        for number, found in rounds.items()
    }
    result = Result("idle", TITLE)
    table = Table(("idle connections", "req/s", "CPU µs per request"))
    table.rows += [(number, round(rate), cost) for number, (rate, cost) in middle.items()]
    result.tables.append(table)
    # Later rounds reuse what the first has allocated: the first is the dearest, and the one that counts.
    result.targets += [
        Target("memory of an idle connection", max(costs), "most", 20.0, "KB"),
        Target(
            f"throughput with {count:,} of them, of that without",
            middle[count][0] / middle[0][0],
            "least",
            0.8,
        ),
    ]
    result.notes.append(
        "Private memory of the worker; each connection has had one answer before it fell idle."
    )
    result.raw.update(rounds=rounds, kilobytes=costs)
    return result


def _load(workers: Workers, seconds: float) -> tuple[float, float]:
    """Requests per second, and microseconds of processor time per request."""
    before = cpu(workers.pids)
    load = wrk(workers.port, PATH, key(), seconds)
    used = cpu(workers.pids).since(before).total
    workers.node.trim_spool()
    if load.errors:
        raise Broken(f"{load.errors} requests were answered with errors")
    return load.rate, used / load.requests * 1e6
