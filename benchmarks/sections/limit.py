"""Whether a limit is exact: a thousand calls at once on two workers, of which a hundred may pass."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from benchmarks.machine import find
from benchmarks.peers import start_upstream
from benchmarks.samples import Client
from benchmarks.stage import Stage, free_ports, wait_for_port
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import POLICIES, Workers, key, make_node, snapshot
from proxy.config.snapshot import Policy

TITLE = "Exact limits"
LIMIT, CALLS = 100, 1_000
CORES = (None, None)


def run(stage: Stage) -> Result:
    """As often as it takes to believe it, each time as another caller; with each kind of counters."""
    times = stage.options.size(20, 3)
    upstream = start_upstream(stage)
    result = Result("limit", TITLE)
    table = Table(
        ("counters", "runs", "of them exact", "admitted, least", "admitted, most", "neither 200 nor 429")
    )
    stores = {"node-shared": ""}
    redis = _start_redis(stage)
    if redis:
        stores["Redis"] = redis
    else:
        result.notes.append("Not installed, so left out: redis-server.")
    for name, url in stores.items():
        node = make_node(stage, f"limit-{name}", snapshot(upstream, policies=_policies()), keys=1_000)
        workers = Workers(stage, node, CORES, redis=url)
        # The stores connect with their first call.
        Client(stage, "burst", core=None, port=workers.port, key=key(times), connections=16).printed()
        runs = [_burst(stage, workers.port, caller) for caller in range(times)]
        workers.stop(stage)
        admitted = [statuses.get("200", 0) for statuses in runs]
        exact = runs.count({"200": LIMIT, "429": CALLS - LIMIT})
        others = sum(CALLS - statuses.get("200", 0) - statuses.get("429", 0) for statuses in runs)
        table.rows.append((name, times, exact, min(admitted), max(admitted), others))
        result.targets.append(Target(f"runs that admitted exactly {LIMIT}, {name}", exact, "exactly", times))
        result.raw[name] = runs
    result.tables.append(table)
    result.notes.append(
        f"{CALLS:,} concurrent calls on as many connections, limit {LIMIT} per day, two workers."
    )
    return result


def _policies() -> Sequence[Policy]:
    limit = {"limits": [{"amount": LIMIT, "period": "day", "algorithm": "fixed-window"}], "by": "consumer"}
    return [
        msgspec.structs.replace(policy, config=limit) if policy.name == "rate-limit" else policy
        for policy in POLICIES
    ]


def _burst(stage: Stage, port: int, caller: int) -> dict[str, int]:
    """How often one caller was answered with which status."""
    return Client(stage, "burst", core=None, port=port, key=key(caller), connections=CALLS).printed()


def _start_redis(stage: Stage) -> str:
    """The address of a Redis of our own, empty if it is not installed."""
    program = find("redis-server")
    if program is None:
        return ""
    [port] = free_ports(1)
    folder = stage.folder / "redis"
    folder.mkdir()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    wait_for_port(stage.start("redis", command, core=None), port)
    return f"redis://127.0.0.1:{port}/0"
