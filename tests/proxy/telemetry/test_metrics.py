"""Counters: exact, found again by whoever comes next in the slot, bounded."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.telemetry import metrics as metrics_module
from proxy.telemetry.metrics import (
    BOUNDS_US,
    BUCKETS,
    BYTES_IN,
    BYTES_OUT,
    CODE,
    EJECTED,
    EJECTIONS,
    NAMED,
    NAMES,
    OTHER,
    POLICY,
    ROUTE,
    TARGET,
    UPSTREAM,
    Metrics,
    series,
)
from proxy.telemetry.prometheus import totals
from proxy.telemetry.record import CLIENT_ABORT, OK, REJECTED, STATES
from proxy.telemetry.status import COUNTERS, WorkerStatus

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def status(tmp_path: Path) -> Iterator[WorkerStatus]:
    opened = WorkerStatus(tmp_path / "0.status")
    yield opened
    opened.close()


def test_requests_are_counted_by_exact_status_and_state(status: WorkerStatus, tmp_path: Path) -> None:
    meter = Metrics(status).route("orders", "read")
    for code, state in [
        (200, OK),
        (200, OK),
        (429, REJECTED),
        (0, CLIENT_ABORT),
        (299, OK),
        (200, CLIENT_ABORT),
    ]:
        meter.observe(code, state, 100, 0, 0, 0)
    found = totals(tmp_path)
    assert {key[3:]: cells for key, cells in found.items() if key[0] == CODE} == {
        ("200", "ok"): [2],
        ("429", "rejected"): [1],
        ("0", "client_abort"): [1],
        ("299", "ok"): [1],
        ("200", "client_abort"): [1],
    }


@pytest.mark.parametrize(
    ("duration", "bucket"),
    [
        (0, 0),
        (500, 0),
        (501, 1),
        (1_000, 1),
        (60_000_000, BUCKETS - 2),
        (60_000_001, BUCKETS - 1),
        (10**12, 16),
    ],
)
def test_a_duration_falls_into_its_bucket(
    status: WorkerStatus, tmp_path: Path, duration: int, bucket: int
) -> None:
    Metrics(status).route("a", "r").observe(200, OK, duration, 0, 0, 0)
    cells = totals(tmp_path)[ROUTE, "a", "r"]
    assert cells[bucket] == 1
    assert sum(cells[:BUCKETS]) == 1
    assert cells[BUCKETS] == duration


def test_upstream_time_and_bytes(status: WorkerStatus, tmp_path: Path) -> None:
    meter = Metrics(status).route("a", "r")
    meter.observe(200, OK, 2000, 1500, 10, 4000)
    meter.observe(403, REJECTED, 90, 0, 5, 0)
    cells = totals(tmp_path)[ROUTE, "a", "r"]
    assert cells[UPSTREAM : UPSTREAM + 3] == [0, 0, 1]
    assert sum(cells[UPSTREAM : UPSTREAM + BUCKETS]) == 1, "a refused request had no upstream"
    assert cells[UPSTREAM + BUCKETS] == 1500
    assert (cells[BYTES_IN], cells[BYTES_OUT]) == (15, 4000)


def test_the_bounds_rise() -> None:
    assert list(BOUNDS_US) == sorted(set(BOUNDS_US))
    assert (BOUNDS_US[0], BOUNDS_US[-1]) == (500, 60_000_000)


def test_a_route_that_nobody_called_takes_no_room(status: WorkerStatus, tmp_path: Path) -> None:
    metrics = Metrics(status)
    for number in range(100):
        metrics.route("a", f"r{number}")
    assert [key for key in totals(tmp_path) if key[0] == ROUTE] == [(ROUTE, OTHER, OTHER)]


def test_the_same_labels_are_the_same_series(status: WorkerStatus, tmp_path: Path) -> None:
    metrics = Metrics(status)
    for _ in range(3):
        metrics.route("a", "r").observe(200, OK, 1, 0, 0, 0)
    assert totals(tmp_path)[CODE, "a", "r", "200", "ok"] == [3]
    assert sum(1 for key, _, _ in series(status.labels) if key[1:3] == ("a", "r")) == 2


def test_the_next_worker_of_the_slot_counts_on(tmp_path: Path) -> None:
    for round_number in range(1, 4):
        status = WorkerStatus(tmp_path / "0.status")
        metrics = Metrics(status)
        metrics.route("a", f"only in round {round_number}").observe(200, OK, 1, 0, 0, 0)
        metrics.route("a", "r").observe(200, OK, 1, 0, 0, 0)
        metrics.bump("retries", 2)
        metrics.policy("acl", "acl", "refused")
        status.close()
        found = totals(tmp_path)
        assert found[CODE, "a", "r", "200", "ok"] == [round_number]
        assert found[NAMED, "retries"] == [2 * round_number]
        assert found[POLICY, "acl", "acl", "refused"] == [round_number]
    assert found[CODE, "a", "only in round 1", "200", "ok"] == [1]


def test_counts_survive_kill_9(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, os\nfrom proxy.telemetry.status import WorkerStatus\n"
        "from proxy.telemetry.metrics import Metrics\n"
        "meter = Metrics(WorkerStatus(pathlib.Path(sys.argv[1]))).route('a', 'r')\nn = 0\n"
        "while True:\n    meter.observe(200 + n % 50, 0, n, n, 1, 1)\n"
        "    n += 1\n    os.write(1, b'%d\\n' % n)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "0.status")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        said = b"".join(worker.stdout.readline() for _ in range(500))
        worker.send_signal(signal.SIGKILL)
        said += worker.stdout.read()
    counted = int(said.splitlines()[-1])
    status = WorkerStatus(tmp_path / "0.status")
    Metrics(status).route("a", "r").observe(200, OK, 1, 0, 0, 0)
    codes = sum(cells[0] for key, cells in totals(tmp_path).items() if key[:2] == (CODE, "a"))
    assert counted + 1 <= codes <= counted + 2
    status.close()


def test_named_counters_are_a_closed_list(status: WorkerStatus, tmp_path: Path) -> None:
    metrics = Metrics(status)
    for name in NAMES:
        metrics.bump(name)
    with pytest.raises(KeyError):
        metrics.bump("no_such_counter")
    assert {key[1]: cells for key, cells in totals(tmp_path).items() if key[0] == NAMED} == {
        name: [1] for name in NAMES
    }


def test_policy_decisions(status: WorkerStatus, tmp_path: Path) -> None:
    metrics = Metrics(status)
    for outcome in ("refused", "refused", "observed"):
        metrics.policy("rate-limit", "per app", outcome)
    found = totals(tmp_path)
    assert found[POLICY, "rate-limit", "per app", "refused"] == [2]
    assert found[POLICY, "rate-limit", "per app", "observed"] == [1]


def test_what_finds_no_room_is_counted_under_other(
    status: WorkerStatus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_module, "CELLS", 8 * 1024 + COUNTERS + 200)
    metrics = Metrics(status)
    meters = [metrics.route("a", f"r{number}") for number in range(50)]
    for meter in meters:
        for code in range(100, 1000, 3):
            meter.observe(code, code % len(STATES), 10, 10, 1, 1)
        metrics.policy("acl", str(id(meter)), "refused")
    found = totals(tmp_path)
    sent = 50 * len(range(100, 1000, 3))
    assert sum(cells[0] for key, cells in found.items() if key[0] == CODE) == sent
    assert sum(sum(cells[:BUCKETS]) for key, cells in found.items() if key[0] == ROUTE) == sent
    assert sum(cells[0] for key, cells in found.items() if key[0] == POLICY) == 50
    assert found[ROUTE, OTHER, OTHER][BYTES_IN] > 0
    assert found[NAMED, "series_overflow"][0] > 40
    assert len(found) < 1000


def test_a_new_worker_has_no_target_ejected(tmp_path: Path) -> None:
    """The former one of its slot was killed while it had."""
    path = tmp_path / "0.status"
    former = WorkerStatus(path)
    Metrics(former).target_ejected("orders", "10.0.0.1:80")
    assert totals(tmp_path)[TARGET, "orders", "10.0.0.1:80"] == [1, 1]
    former.close()
    status = WorkerStatus(path)
    Metrics(status)
    assert totals(tmp_path)[TARGET, "orders", "10.0.0.1:80"] == [1, 0]
    status.close()


def test_targets_that_find_no_room_are_counted_together(
    status: WorkerStatus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_module, "CELLS", 8 * 1024 + COUNTERS + 200)
    metrics = Metrics(status)
    for number in range(200):
        metrics.target_ejected("orders", f"10.0.0.{number}:80")
    for number in range(0, 200, 2):
        metrics.target_back("orders", f"10.0.0.{number}:80")
    status.beat()
    found = {key[1:]: cells for key, cells in totals(tmp_path).items() if key[0] == TARGET}
    assert [sum(cells[place] for cells in found.values()) for place in (EJECTIONS, EJECTED)] == [200, 100]
    assert found["orders", "10.0.0.0:80"] == [1, 0] and found["orders", "10.0.0.1:80"] == [1, 1]
    assert found[OTHER, OTHER][0] > 50 and 3 < len(found) < 150


def test_the_reserve_holds_every_status_in_every_state(
    status: WorkerStatus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_module, "LABEL_BYTES", 385 * 1024)
    metrics = Metrics(status)
    meter = metrics.route("a", "r" * 200)
    for code in range(1001):
        for state in range(len(STATES)):
            meter.observe(code, state, 1, 1, 1, 1)
    codes = [cells[0] for key, cells in totals(tmp_path).items() if key[0] == CODE]
    assert sum(codes) == 1001 * len(STATES)


def test_a_long_or_odd_label_is_tamed(status: WorkerStatus, tmp_path: Path) -> None:
    metrics = Metrics(status)
    metrics.route("a" * 5000, "\ud800\n\x00").observe(200, OK, 1, 0, 0, 0)
    assert (CODE, "a" * 128, "?\n\x00", "200", "ok") in totals(tmp_path)


@pytest.mark.parametrize(
    "damage", [b"\xff\xff\xff\xff", b"\x03\x00\x00\x00\xc1\xc1\xc1", b"\x05\x00\x00\x00\x91\xa3abc"]
)
def test_a_damaged_list_starts_over(tmp_path: Path, damage: bytes) -> None:
    status = WorkerStatus(tmp_path / "0.status")
    Metrics(status).route("a", "r").observe(200, OK, 1, 0, 0, 0)
    status.labels[: len(damage)] = damage
    assert totals(tmp_path) == {}
    metrics = Metrics(status)
    metrics.route("a", "r").observe(200, OK, 1, 0, 0, 0)
    found = totals(tmp_path)
    assert found[CODE, "a", "r", "200", "ok"] == [1]
    assert sum(found[NAMED, "retries"]) == 0
    status.close()
