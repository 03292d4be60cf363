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

from proxy.telemetry.record import TrafficRecord
from proxy.telemetry.spool import Spool, read, segments

RECORD = TrafficRecord(
    time=1_790_000_000.123,
    request_id="9f1c0d7e55aa43b2c7d81e02",
    state=0,
    method="GET",
    host="api.example.com",
    path="/v1/orders/1234567",
    status=200,
    api="orders",
    route="orders-read",
    app="mobile-app",
    credential="k_3f9a2c",
    plan="gold",
    target="10.0.0.12:8080",
    client_ip="192.0.2.10",
    duration_us=1834,
    upstream_us=1501,
    bytes_in=0,
    bytes_out=138,
    tries=1,
    code="",
    policy="",
    rule="",
    observed="",
    protocol="HTTP/1.1",
    revision=12,
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    user_agent="curl/8.1.2",
)


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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        probe_spool(Path(scratch) / "spool")
