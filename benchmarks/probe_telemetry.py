"""What telemetry costs a request: microseconds per append and observe, records per second when read back.

Run `python benchmarks/probe_telemetry.py`; it takes about five seconds and needs no server.
"""

from __future__ import annotations

import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from proxy.telemetry.metrics import Metrics
from proxy.telemetry.prometheus import render
from proxy.telemetry.spool import Spool, read, segments
from proxy.telemetry.status import IN_FLIGHT, WorkerStatus
from proxy.telemetry.trace import child, request_id
from tests.records import RECORD


def best(name: str, call: Callable[[], object], number: int = 200_000) -> None:
    """Print the best of five rounds."""
    seconds = min(timeit.repeat(call, number=number, repeat=5)) / number
    print(f"{name:32} {seconds * 1e6:7.3f} µs")


def probe_spool(folder: Path) -> None:
    """Append, roll and read."""
    spool = Spool(folder, node="probe", slot=0)
    append = spool.append
    best("spool append", lambda: append(RECORD))
    worst = 0.0
    for _ in range(100_000):
        begun = time.perf_counter()
        append(RECORD)
        worst = max(worst, time.perf_counter() - begun)
    print(f"{'spool append, slowest of 100,000':32} {worst * 1e6:7.0f} µs (rolls to a new segment)")
    spool.close()
    begun = time.perf_counter()
    count = sum(1 for segment in segments(folder) for _ in read(segment.path))
    print(
        f"{'spool read':32} {count / (time.perf_counter() - begun):7,.0f} records/s ({spool.dropped} dropped)"
    )


def probe_metrics(folder: Path) -> None:
    """Count on the request path, render for Prometheus with 1,000 routes."""
    folder.mkdir()
    status = WorkerStatus(folder / "0.status")
    metrics = Metrics(status)
    meters = [metrics.route("orders", f"route-{number}") for number in range(1000)]
    for meter in meters:
        meter.observe(200, 0, 1834, 1501, 0, 138)
    observe = meters[0].observe
    numbers = status.numbers

    def one_up() -> None:
        numbers[IN_FLIGHT] += 1

    best("metrics observe", lambda: observe(200, 0, 1834, 1501, 0, 138))
    best("metrics bump", lambda: metrics.bump("retries"))
    best("metrics policy", lambda: metrics.policy("rate-limit", "basic", "refused"))
    best("status increment", one_up)
    begun = time.perf_counter()
    size = len(render(folder))
    print(f"{'render 1,000 routes':32} {(time.perf_counter() - begun) * 1e3:7.1f} ms, {size:,} bytes")
    status.close()


def probe_trace() -> None:
    """Ids."""
    caller = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    best("trace child of a caller", lambda: child(caller))
    best("trace child, fresh", lambda: child(None))
    best("request id", request_id)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        probe_spool(Path(scratch) / "spool")
        probe_metrics(Path(scratch) / "workers")
    probe_trace()
