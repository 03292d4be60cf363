"""What the live views show is what the workers have written."""

import json
import time
from pathlib import Path

from tests.analytics.traffic import record
from tests.consoles.live.console import Worker, frames
from tests.gateway.processes import wait_until


def producing(console):
    """Whether the console's process has a status file mapped: its overview is being produced."""
    return ".status" in Path(f"/proc/{console.process.pid}/maps").read_text()


def test_the_overview_counts_what_the_workers_count(console, worker):
    worker.serve(record(api="before"))
    health = {"orders": {"10.0.0.1:80": True, "10.0.0.2:80": False}, "auth": {"10.0.0.3:80": True}}
    worker.node.health.write_text(json.dumps(health))
    worker.metrics.target_ejected("orders", "10.0.0.1:80")
    with console.watch("overview/") as watching:
        stream = frames(watching)
        next(stream)
        before = next(stream)["point"][0]
        for number in range(100):
            worker.serve(record(api="shop", status=200, duration_us=3000 + number))
        for _ in range(10):
            worker.serve(record(api="shop", route="new", status=502, state=3, duration_us=90_000))
            worker.serve(record(api="", route="", status=404, state=1, code="no-route", duration_us=100))
        total, frame = 0.0, {}
        while total < 119.5 or not frame["ejected"]:
            frame = next(stream)
            at, *rates = frame["point"]
            total += sum(rates) * (at - before)
            before = at
        assert abs(total - 120) < 3
        assert frame["rate"] > 0 and frame["failed"] > 0
        assert frame["apis"] == [["shop", 110, 10], ["(no Api)", 10, 0]]
        assert ["502", "upstream error", "shop", 10] in frame["errors"]
        assert ["404", "rejected", "(no Api)", 10] in frame["errors"]
        p50, p95, _ = frame["latency"]
        assert 2.5 <= float(p50.split()[0]) <= 5 and p50.endswith(" ms")
        assert 50 <= float(p95.split()[0]) <= 100
        assert frame["upstreams"] == [["orders", 1, 2], ["auth", 1, 1]]
        assert (frame["targets"], frame["unhealthy"], frame["ejected"]) == (3, 1, 1)
        assert (frame["revision"], frame["in_flight"], frame["running"]) == (7, 3, 1)
        assert "before" not in str(frame)


def test_it_is_produced_only_while_somebody_watches(console, worker):
    with console.watch("overview/") as watching:
        next(frames(watching))
        wait_until(lambda: producing(console), what="the producer to start")
    wait_until(lambda: not producing(console), what="the producer to end")


def test_the_tail_shows_requests_as_they_end(console, worker):
    worker.serve(record(path="/earlier", request_id="earlier"))
    with console.watch("tail/") as watching:
        stream = frames(watching)
        assert "earlier" in [row[10] for row in next(stream)["rows"]]
        worker.serve(
            record(path="/now", request_id="now", status=429, state=1, code="rate-limited", app="app")
        )
        frame = next(stream)
        (row,) = frame["rows"]
        assert row[1] == 429 and row[3:9] == [
            "GET",
            "api.example.com/now",
            "orders",
            "orders-read",
            "app",
            "rate-limited",
        ]
        assert frame["dropped"] == 0 and abs(row[0] - time.time()) < 5


def test_no_more_than_a_person_can_look_at(console, worker):
    with console.watch("tail/?text=/flood/") as watching:
        stream = frames(watching)
        next(stream)
        for number in range(1000):
            worker.serve(record(path=f"/flood/{number}"))
        shown, dropped, ticks = [], 0, 0
        while len(shown) + dropped < 1000:
            frame = next(stream)
            shown += [row[4] for row in frame["rows"]]
            dropped += frame["dropped"]
            ticks += 1
        assert len(shown) + dropped == 1000 and dropped > 0 and len(shown) <= 25 * ticks
        assert shown[-1].endswith("/flood/999")


def test_filters_of_the_address(console, worker):
    wanted = {"api": "shop", "route": "new", "status_class": "5xx", "method": "POST", "path": "/pay"}
    with console.watch("tail/?api=SHO&route=ew&status_class=5xx&method=POST&text=PAY&junk=%00") as watching:
        stream = frames(watching)
        next(stream)
        for name, other in {"api": "x", "route": "x", "status": 200, "method": "GET", "path": "/x"}.items():
            fields = {"status": 503, **wanted, name: other}
            fields.pop("status_class")
            worker.serve(record(**fields, request_id=f"not-{name}"))
        worker.serve(
            record(api="shop", route="new", status=503, method="POST", path="/pay", request_id="yes")
        )
        assert [row[10] for row in next(stream)["rows"]] == ["yes"]


def test_a_new_worker_in_the_slot_leaves_the_counts_right(console):
    worker = Worker(console.data)
    with console.watch("overview/") as watching:
        stream = frames(watching)
        next(stream), next(stream)
        for _ in range(20):
            worker.serve(record(api="first"))
        worker.close()
        second = Worker(console.data)
        spare = Worker(console.data)  # the slot's first one still drains
        for _ in range(30):
            second.serve(record(api="second"))
            spare.serve(record(api="third"))
        wanted = [["second", 30, 0], ["third", 30, 0], ["first", 20, 0]]
        deadline = time.monotonic() + 10
        while [one for one in next(stream)["apis"] if one[0] in ("first", "second", "third")] != wanted:
            assert time.monotonic() < deadline
        spare.close()
        second.close()
        (worker.node.workers / "0-spare.status").unlink()
