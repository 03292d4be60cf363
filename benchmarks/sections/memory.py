"""Resident memory of a worker at rest, in the whole product with its demo shop."""

from __future__ import annotations

import os
import time

from benchmarks.machine import private_memory, resident_memory
from benchmarks.product import Product
from benchmarks.stage import Stage
from benchmarks.table import Result, Table, Target

TITLE = "A worker at rest"


def run(stage: Stage) -> Result:
    """Start it as `make run` does, without the console, and wait until nothing moves any more."""
    product = Product(stage, "demo", workers=max(1, len(os.sched_getaffinity(0))), demo=True)
    product.manage("migrate", "--verbosity", "0")
    product.start()
    time.sleep(2.0)
    workers = product.workers()
    resident = [resident_memory(worker.pid) / 2**20 for worker in workers]
    private = [private_memory(worker.pid) / 2**20 for worker in workers]
    result = Result("memory", TITLE)
    table = Table(("worker", "resident MB", "of it private"))
    table.rows += [(worker.slot, *sizes) for worker, *sizes in zip(workers, resident, private, strict=True)]
    result.tables.append(table)
    result.targets.append(
        Target("resident memory of a worker with the demo", max(resident), "most", 80.0, "MB")
    )
    result.raw.update(resident=resident, private=private)
    return result
