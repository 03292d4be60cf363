"""The status file: what one process writes, another one reads at once; counters outlive their worker."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.telemetry.status import (
    CONNECTIONS,
    COUNTERS,
    DRAINING,
    GENERATION,
    HEARTBEAT,
    IN_FLIGHT,
    LOOP_LAG,
    READY,
    REVISION,
    STALE_SECONDS,
    STARTED,
    STATE,
    STOPPED,
    SlotBusy,
    WorkerStatus,
    read_all,
    status_files,
)

ROOT = Path(__file__).resolve().parents[3]


def test_what_a_worker_writes_is_read(tmp_path: Path) -> None:
    status = WorkerStatus(tmp_path / "2.status")
    status.numbers[STATE] = READY
    status.numbers[REVISION] = 17
    status.numbers[GENERATION] = 5
    status.numbers[CONNECTIONS] += 3
    status.numbers[IN_FLIGHT] += 2
    status.numbers[IN_FLIGHT] -= 1
    status.numbers[LOOP_LAG] = 900
    (seen,) = read_all(tmp_path)
    assert (seen.slot, seen.state, seen.revision, seen.generation) == (2, READY, 17, 5)
    assert (seen.connections, seen.in_flight, seen.loop_lag_us) == (3, 1, 900)
    assert seen.alive
    assert seen.ready
    assert abs(seen.started - time.time()) < 5
    status.close()


@pytest.mark.parametrize(
    ("state", "age", "alive", "ready"),
    [
        (READY, 0.0, True, True),
        (DRAINING, 0.0, True, False),
        (STOPPED, 0.0, False, False),
        (READY, STALE_SECONDS + 1, False, False),
        (READY, -3600.0, False, False),
    ],
    ids=["ready", "draining", "stopped", "silent", "before the machine started anew"],
)
def test_who_is_alive(tmp_path: Path, state: int, age: float, alive: bool, ready: bool) -> None:
    status = WorkerStatus(tmp_path / "0.status")
    status.numbers[STATE] = state
    status.numbers[HEARTBEAT] = max(0, time.monotonic_ns() - int(age * 1e9))
    (seen,) = read_all(tmp_path)
    if age > 0 and time.monotonic() < age:
        pytest.skip("the machine has only just started")
    assert (seen.alive, seen.ready) == (alive, ready)
    status.close()


def test_a_gauge_cannot_go_below_zero(tmp_path: Path) -> None:
    status = WorkerStatus(tmp_path / "0.status")
    with pytest.raises(ValueError, match="invalid value"):
        status.numbers[CONNECTIONS] -= 1
    status.close()


def test_counters_stay_and_the_header_begins_anew(tmp_path: Path) -> None:
    first = WorkerStatus(tmp_path / "0.status")
    first.numbers[IN_FLIGHT] = 9
    first.numbers[COUNTERS] = 1234
    first.close()
    second = WorkerStatus(tmp_path / "0.status")
    assert second.numbers[IN_FLIGHT] == 0
    assert second.numbers[COUNTERS] == 1234
    second.close()


def test_another_version_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "0.status"
    path.write_bytes(b"\xee" * 8192)
    assert read_all(tmp_path) == []
    status = WorkerStatus(path)
    assert status.numbers[COUNTERS] == 0
    assert len(read_all(tmp_path)) == 1
    status.close()


def test_half_made_and_foreign_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "0.status").write_bytes(b"")
    (tmp_path / "1.status").write_bytes(b"short")
    (tmp_path / "x.status").write_bytes(bytes(4096))
    assert read_all(tmp_path) == []
    assert [slot for slot, _ in status_files(tmp_path)] == [0, 1]


def test_a_worker_beside_one_that_drains_gets_the_spare_file(tmp_path: Path) -> None:
    old = WorkerStatus(tmp_path / "0.status")
    old.numbers[STATE] = DRAINING
    new = WorkerStatus(tmp_path / "0.status")
    new.numbers[STATE] = READY
    new.numbers[STARTED] = old.numbers[STARTED] + 1
    assert new.path.name == "0-spare.status"
    (seen,) = read_all(tmp_path)
    assert seen.state == READY
    with pytest.raises(SlotBusy):
        WorkerStatus(tmp_path / "0.status")
    old.close()
    third = WorkerStatus(tmp_path / "0.status")
    assert third.path.name == "0.status"
    third.close()
    new.close()


def test_reading_does_not_touch_the_file(tmp_path: Path) -> None:
    writer = WorkerStatus(tmp_path / "0.status")
    writer.numbers[IN_FLIGHT] = 4
    reader = WorkerStatus(tmp_path / "0.status", writer=False)
    assert reader.numbers[IN_FLIGHT] == 4
    writer.numbers[IN_FLIGHT] = 5
    assert reader.numbers[IN_FLIGHT] == 5
    with pytest.raises(TypeError):
        reader.numbers[IN_FLIGHT] = 6
    reader.close()
    writer.close()


def test_a_missing_or_short_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WorkerStatus(tmp_path / "0.status", writer=False)
    (tmp_path / "0.status").write_bytes(b"short")
    with pytest.raises(ValueError, match="length"):
        WorkerStatus(tmp_path / "0.status", writer=False)


def test_a_killed_worker_frees_its_slot_and_leaves_its_counts(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib\nfrom proxy.telemetry.status import *\n"
        "status = WorkerStatus(pathlib.Path(sys.argv[1]))\nstatus.numbers[COUNTERS] = 77\n"
        "status.numbers[STATE] = READY\nprint('up', flush=True)\ntime.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "0.status")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"up\n"
        assert read_all(tmp_path)[0].pid == worker.pid
        worker.send_signal(signal.SIGKILL)
    status = WorkerStatus(tmp_path / "0.status")
    assert status.path.name == "0.status"
    assert status.numbers[COUNTERS] == 77
    status.close()
