"""Publishing 10,000 Routes under load: how long until they are live, and whether a request notices."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.peers import start_upstream
from benchmarks.product import Product
from benchmarks.samples import Client, Sample
from benchmarks.stage import Broken, Stage, wait_for
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import KEYS, Workers, key, make_node, snapshot

PATH = "/svc/s1/orders"
TITLE = "A publish under load"
RATE = 1_000.0
QUIET = 1.5
AFTER = 1.0
WORKERS = (None, None)
POLICIES = (
    {"name": "key-auth"},
    {"name": "rate-limit", "config": {"limits": [{"amount": 1_000_000_000}]}},
)


class Outcome(NamedTuple):
    """Seconds that publishing took, then until live; slowest requests in ms; requests that failed, and all."""

    took: float
    live: float
    slowest_before: float
    slowest_during: float
    failed: int
    requests: int


def run(stage: Stage) -> Result:
    """First the data plane alone, then the whole product with its database."""
    count = stage.options.size(10_000, 1_000)
    upstream = start_upstream(stage)
    result = Result("publish", TITLE)
    table = Table(
        (
            "publish",
            "done in s",
            "then live in s",
            "slowest before, ms",
            "slowest meanwhile, ms",
            "failed",
            "requests",
        )
    )
    for name, outcome in {
        "Snapshot written on the node": _node(stage, upstream, count),
        "manage.py config publish": _product(stage, upstream, count),
    }.items():
        table.rows.append((name, *outcome))
        result.targets += [
            Target(f"{name}: live on all workers", outcome.live, "most", 2.0, "s"),
            Target(f"{name}: failed requests", outcome.failed, "exactly", 0),
            Target(f"{name}: slowest request", outcome.slowest_during, "most", 100.0, "ms"),
        ]
        result.raw[name] = outcome._asdict()
    result.tables.append(table)
    result.notes.append(
        f"{count:,} routes, two workers, {RATE:,.0f} requests per second, each timed from when it was due. "
        "With `manage.py` the time counts from the end of the command; compiling, checking and writing to the "
        "database happen in it, beside the load on the same cores."
    )
    return result


def _node(stage: Stage, upstream: int, count: int) -> Outcome:
    keys = stage.options.size(KEYS, 1_000)
    node = make_node(stage, "publish", snapshot(upstream), keys=keys)
    workers = Workers(stage, node, WORKERS)
    fresh = snapshot(upstream, routes=count, revision=2)

    def publish() -> None:
        node.publish(fresh)

    def live() -> bool:
        return node.is_live(2, 2)

    outcome = _under_load(stage, workers.port, key(), publish, live)
    workers.stop(stage)
    return outcome


def _product(stage: Stage, upstream: int, count: int) -> Outcome:
    product = Product(stage, "product", workers=2)
    product.manage("migrate", "--verbosity", "0")
    product.apply(upstream, 10, POLICIES, "--publish")
    secret = product.issue_key()
    product.start()
    product.apply(upstream, count, POLICIES)
    before = product.revision()

    def publish() -> None:
        product.manage("config", "publish")

    def live() -> bool:
        return product.revision() > before

    return _under_load(stage, product.port, secret, publish, live)


def _under_load(
    stage: Stage, port: int, secret: str, publish: Callable[[], None], live: Callable[[], bool]
) -> Outcome:
    """Load until a while after the publish is live, however long that takes."""
    client = Client(stage, "paced", core=None, port=port, path=PATH, key=secret, rate=RATE, seconds=600)
    client.wait_ready()
    time.sleep(QUIET)
    started = time.monotonic()
    publish()
    took = time.monotonic() - started
    waited = wait_for(live, "the revision", 60.0, step=0.002)
    time.sleep(AFTER)
    samples = client.stop_sending()
    before = [sample for sample in samples if sample.due < started - 0.2]
    during = [sample for sample in samples if sample.due >= started - 0.2]
    if not before or not during:
        raise Broken("the load ended too early")
    return Outcome(
        took,
        waited,
        _slowest(before[50:]),
        _slowest(during),
        sum(not sample.good for sample in samples) + client.refused,
        len(samples),
    )


def _slowest(samples: list[Sample]) -> float:
    return max(sample.latency for sample in samples) * 1e3
