"""What it brings to work off a turn of the loop together instead of one arrival after the other.

    python -m benchmarks.probe_turn [ROUNDS [SECONDS]]

Two native workers that differ in their Turn alone, on one core, in turn. Needs nginx and wrk.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
from collections.abc import Callable
from typing import Any

import proxy.core
import proxy.worker
from benchmarks.load import wrk
from benchmarks.machine import cpu, raise_file_limit
from benchmarks.peers import start_upstream
from benchmarks.stage import Options, Stage, python
from benchmarks.tidegate import Workers, key, make_node, snapshot
from proxy.exchange import Exchange
from proxy.turn import Action, Turn

PATH = "/svc/s1/orders"
CONNECTIONS = (1, 8, 32, 128)


class Arrivals(list[tuple[Any, bytes]]):
    """Works off what arrives when it is told of it."""

    def append(self, item: tuple[Any, bytes]) -> None:
        """Do it now."""
        item[0].received(item[1])


class Departures(list[tuple[Action, Any]]):
    """Sends when it is told to."""

    def append(self, item: tuple[Action, Any]) -> None:
        """Do it now; a connection that was lost meanwhile is passed over, as in the real one."""
        with contextlib.suppress(RuntimeError, OSError):
            item[0](item[1])


class ImmediateTurn(Turn):
    """Does everything but the records when it is told to."""

    __slots__ = ()

    def __init__(self, settle: Callable[[list[Exchange]], None], broke: Callable[[], None]) -> None:
        super().__init__(settle, broke)
        self.arrived, self.departing = Arrivals(), Departures()


def worker() -> None:
    """A worker with the other turn."""
    proxy.core.Turn = ImmediateTurn  # type: ignore[misc]
    proxy.worker.main()


def main(rounds: int, seconds: float) -> None:
    """Print requests per second and processor time per request of both."""
    raise_file_limit()
    with Stage(Options(rounds, seconds)) as stage:
        upstream = start_upstream(stage)
        kinds = {"together": python("proxy.worker"), "at once": python("benchmarks.probe_turn", "worker")}
        running = {
            name: Workers(
                stage, make_node(stage, name.replace(" ", "-"), snapshot(upstream)), command=command
            )
            for name, command in kinds.items()
        }
        for connections in CONNECTIONS:
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
            for _ in range(rounds):
                for name, workers in running.items():
                    found[name].append(_round(workers, seconds, connections))
            for name, rows in found.items():
                rate, cost = (statistics.median(column) for column in zip(*rows, strict=True))
                print(
                    f"{connections:4} connections, written {name:10} {rate:8,.0f} req/s {cost:6.1f} µs CPU",
                    flush=True,
                )


def _round(workers: Workers, seconds: float, connections: int) -> tuple[float, float]:
    before = cpu(workers.pids)
    load = wrk(workers.port, PATH, key(), seconds, connections=connections)
    used = cpu(workers.pids).since(before).total
    workers.node.trim_spool()
    return load.rate, used / load.requests * 1e6


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        del sys.argv[1]
        worker()
    else:
        numbers = [float(argument) for argument in sys.argv[1:]]
        main(int(numbers[0]) if numbers else 5, numbers[1] if len(numbers) > 1 else 2.0)
