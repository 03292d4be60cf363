"""A million keys: what they cost a worker in memory, and a look-up in time."""

from __future__ import annotations

import random
import statistics
import time

from benchmarks.machine import private_memory
from benchmarks.peers import start_upstream
from benchmarks.probe_identity import key as make_key
from benchmarks.samples import Client
from benchmarks.stage import Broken, Stage
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import Node, Workers, make_node, snapshot
from proxy.identity.keys import load_pepper
from proxy.identity.store import IdentityStore

TITLE = "A million keys"
FEW = 1_000
GROUPS, MEASURED = 21, 500
CORES = (None, None)


def run(stage: Stage) -> Result:
    """Two workers with few keys, then two with many; the same number of requests, each with another key."""
    many = stage.options.size(1_000_000, 50_000)
    asked = stage.options.size(50_000, 12_000)
    upstream = start_upstream(stage)
    memory: dict[int, int] = {}
    lookup = 0.0
    for count in (FEW, many):
        node = make_node(stage, f"keys-{count}", snapshot(upstream), keys=count)
        workers = Workers(stage, node, CORES, apart=True)
        chosen = _choose(count, asked)
        for port in workers.ports:
            _ask(stage, port, chosen)
        memory[count] = max(private_memory(pid) for pid in workers.pids)
        workers.stop(stage)
        if count == many:
            lookup = _lookup(node, chosen)
    more = (memory[many] - memory[FEW]) / 2**20
    result = Result("keys", TITLE)
    table = Table(("keys", "private memory of a worker, MB"))
    table.rows += [(count, size / 2**20) for count, size in memory.items()]
    result.tables.append(table)
    result.targets += [
        Target(f"more private memory with {many:,} keys", more, "most", 60.0, "MB"),
        Target("look-up of a key that the worker does not remember", lookup, "most", 5.0, "µs"),
    ]
    result.notes.append(
        f"After {asked:,} requests with as many different keys (where there are that many) to each of two workers, as "
        "`/proc/PID/smaps_rollup` says; the store's pages are shared by the workers."
    )
    result.raw.update(memory={str(count): size for count, size in memory.items()}, lookup_us=lookup)
    return result


def _choose(count: int, asked: int) -> list[int]:
    chooser = random.Random(1)
    if count >= asked:
        return chooser.sample(range(count), asked)
    return [chooser.randrange(count) for _ in range(asked)]


def _ask(stage: Stage, port: int, chosen: list[int]) -> None:
    path = stage.folder / "keys.txt"
    path.write_text("\n".join(make_key(number).decode() for number in chosen))
    statuses = Client(stage, "spread", port=port, key=path).printed()
    if statuses != {"200": len(chosen)}:
        raise Broken(f"the keys were answered with {statuses}")


def _lookup(node: Node, chosen: list[int]) -> float:
    """Microseconds per look-up of keys whose pages this process has mapped, but that it does not remember."""
    store = IdentityStore(node.dir.identity, pepper=load_pepper(node.dir.pepper), state=node.state)
    raws = [make_key(number) for number in chosen]
    for raw in raws:
        store.lookup(raw)
    # Many more than the store remembers came after these.
    costs = []
    for group in range(GROUPS):
        again = raws[group * MEASURED : (group + 1) * MEASURED]
        started = time.perf_counter()
        found = [store.lookup(raw) for raw in again]
        costs.append((time.perf_counter() - started) / len(found) * 1e6)
        if None in found:
            raise Broken("a key that is in the store was not found")
    store.close()
    return statistics.median(costs)
