"""`kill -9` of a worker under load: who notices, and whether the records are whole."""

from __future__ import annotations

import collections
import re
import time

from benchmarks.peers import start_upstream
from benchmarks.samples import Client, Sample
from benchmarks.stage import Stage, free_ports, python, wait_for
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import KEYS, Node, key, kill, make_node, snapshot
from proxy.telemetry.tail import Tail

TITLE = "A killed worker"
CONNECTIONS = 32
PATH = re.compile(r"/svc/s1/(\d+)")


def run(stage: Stage) -> Result:
    """The real supervisor with two workers; one is killed a few times while clients go on."""
    result = Result("kill", TITLE)
    upstream = start_upstream(stage)
    table = Table(
        (
            "run",
            "requests",
            "failed",
            "of them in flight then",
            "replaced in ms",
            "records missing",
            "records too many",
        )
    )
    outcomes = []
    for number in range(stage.options.size(3, 1)):
        node = make_node(stage, f"kill-{number}", snapshot(upstream), keys=stage.options.size(KEYS, 100))
        outcomes.append(_once(stage, node))
        table.rows.append((number + 1, *outcomes[-1]))
    result.tables.append(table)
    failed, in_flight = sum(row[1] for row in outcomes), sum(row[2] for row in outcomes)
    result.targets += [
        Target(
            "failed requests that were not in flight in the killed worker", failed - in_flight, "exactly", 0
        ),
        Target("requests answered without a record", sum(row[4] for row in outcomes), "exactly", 0),
        Target(
            "records of requests that nobody sent, or twice", sum(row[5] for row in outcomes), "exactly", 0
        ),
        Target(
            "until the worker was replaced, slowest", max(row[3] for row in outcomes), "most", 1000.0, "ms"
        ),
    ]
    result.notes.append(
        f"{CONNECTIONS} connections, each with its next request as soon as it has an answer, on two workers. In flight "
        "is what was sent before the kill, on a connection that then broke without an answer."
    )
    result.raw["runs"] = outcomes
    return result


def _once(stage: Stage, node: Node) -> tuple[int, int, int, int, int, int]:
    [port] = free_ports(1)
    supervisor = stage.start(
        f"supervisor-{port}", python("benchmarks.supervise", str(node.dir.root), str(port), "2"), core=None
    )
    wait_for(lambda: node.is_live(1, 2), "two workers")
    seconds = max(2.0, stage.options.seconds)
    client = Client(
        stage,
        "closed",
        core=None,
        port=port,
        path="/svc/s1/{n}",
        key=key(),
        connections=CONNECTIONS,
        seconds=seconds,
    )
    client.wait_ready()
    time.sleep(seconds / 3)
    victim = node.workers()[0].pid
    killed = time.monotonic()
    kill(victim)
    replaced = wait_for(
        lambda: node.is_live(1, 2) and victim not in {worker.pid for worker in node.workers()},
        "the next worker",
    )
    samples = client.result()
    failed = [sample for sample in samples if not sample.good]
    in_flight = sum(
        sample.due <= killed + 0.005 and sample.due + sample.latency >= killed for sample in failed
    )
    stage.end(supervisor)
    missing, extra = _compare(node, samples)
    refused = client.refused
    return len(samples), len(failed) + refused, in_flight, round(replaced * 1e3), missing, extra


def _compare(node: Node, samples: list[Sample]) -> tuple[int, int]:
    """Answered requests without their record, and records that no request accounts for."""
    recorded = collections.Counter(
        int(found[1]) for record in Tail(node.dir.spool).new() if (found := PATH.fullmatch(record.path))
    )
    answered = {sample.name for sample in samples if sample.good}
    unanswered = {sample.name for sample in samples} - answered
    missing = len(answered - recorded.keys())
    twice = sum(count - 1 for name, count in recorded.items() if name in answered or name in unanswered)
    return missing, twice + len(recorded.keys() - answered - unanswered)
