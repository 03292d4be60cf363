"""What the gateway adds to the latency at half of its peak, without coordinated omission."""

from __future__ import annotations

import statistics

from benchmarks.load import wrk
from benchmarks.peers import start_upstream
from benchmarks.samples import Client, Sample, quantile
from benchmarks.stage import Broken, Stage
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import Workers, key, make_node, snapshot

TITLE = "Latency at half of the peak"
PATH = "/svc/s1/orders"
SHARES = (0.5, 0.9, 0.99, 0.999)
LEAST_ROUNDS = 9
"""A rare quantile of a short round is what one pause of the machine makes of it; the median of many is not."""


def run(stage: Stage) -> Result:
    """The same load straight to the upstream and through the gateway, in turn."""
    upstream = start_upstream(stage)
    workers = Workers(stage, make_node(stage, "latency", snapshot(upstream)))
    wrk(workers.port, PATH, key(), 1.0)
    peak = statistics.median(
        wrk(workers.port, PATH, key(), stage.options.seconds).rate
        for _ in range(min(stage.options.rounds, 3))
    )
    workers.node.trim_spool()
    rate = round(peak / 2)
    ports = {"straight to the upstream": upstream, "through the gateway": workers.port}
    rounds: dict[str, list[list[float]]] = {name: [] for name in ports}
    for _ in range(stage.options.size(max(stage.options.rounds, LEAST_ROUNDS), 1)):
        for name, port in ports.items():
            samples = _round(stage, port, rate)
            rounds[name].append([quantile((s.latency for s in samples), share) * 1e3 for share in SHARES])
        workers.node.trim_spool()
    result = Result("latency", TITLE)
    table = Table(("", *(f"p{share * 100:g} ms" for share in SHARES)))
    rows = {
        name: [statistics.median(column) for column in zip(*found, strict=True)]
        for name, found in rounds.items()
    }
    direct, through = rows.values()
    rows["added"] = [after - before for before, after in zip(direct, through, strict=True)]
    table.rows += [(name, *values) for name, values in rows.items()]
    result.tables.append(table)
    result.targets.append(Target("p99 added by the gateway", rows["added"][2], "most", 2.0, "ms"))
    result.notes.append(
        f"{rate:,} requests per second, half of a peak of {peak:,.0f}, one every {1e6 / rate:.0f} µs whether or not "
        "the former ones are answered; each is timed from when it was due, so the generator's own lateness is in "
        f"both rows. Medians of {len(rounds['through the gateway'])} rounds."
    )
    result.raw.update(peak=peak, rate=rate, rounds=rounds, shares=SHARES)
    return result


def _round(stage: Stage, port: int, rate: float) -> list[Sample]:
    client = Client(
        stage,
        "paced",
        port=port,
        path=PATH,
        key=key(),
        connections=64,
        rate=rate,
        seconds=stage.options.seconds,
    )
    client.wait_ready()
    samples = client.result()
    bad = sum(not sample.good for sample in samples)
    if bad or client.refused:
        raise Broken(f"{bad} of {len(samples)} requests failed")
    # The first tenth of a second fills caches and opens connections to the upstream.
    begun = min(sample.due for sample in samples) + 0.1
    return [sample for sample in samples if sample.due > begun]
