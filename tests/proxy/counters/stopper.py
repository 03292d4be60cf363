"""A process that stands still, or dies, in the middle of a hit.

    python stopper.py TABLE stop           stands still while it holds the bucket's lock
    python stopper.py TABLE kill STORE NOW LIMIT-AMOUNT    kills itself before its n-th store, at that time

It prints `ready` when it is there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from proxy.counters.base import Limit
from proxy.counters.shared import SharedCounters


def stand_still() -> float:
    """A clock that never answers: the store asks it while it holds the lock."""
    print("ready", flush=True)
    time.sleep(3600)
    return 0.0


class Deadly:
    """Stands for the table's memory and kills the process before the n-th store."""

    left = 0

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def __getitem__(self, index: Any) -> Any:
        return self.memory[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if Deadly.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        Deadly.left -= 1
        self.memory[index] = value


def main() -> None:
    table, way = Path(sys.argv[1]), sys.argv[2]
    if way == "stop":
        SharedCounters(table, clock=stand_still).hit(b"key", Limit("fixed-window", 5, 60.0))
    stores, now, algorithm, amount = int(sys.argv[3]), float(sys.argv[4]), sys.argv[5], int(sys.argv[6])
    store = SharedCounters(table, clock=lambda: now)
    Deadly.left = stores
    store._expires = Deadly(store._expires)  # type: ignore[assignment]
    store._counts = Deadly(store._counts)  # type: ignore[assignment]
    print("ready", flush=True)
    store.hit(b"key", Limit(algorithm, amount, 60.0))  # type: ignore[arg-type]
    print("survived", flush=True)


if __name__ == "__main__":
    main()
