"""A process whose children ingest and are killed: `python -m tests.analytics.victims kill|race FOLDER`.

Prints `ok` and how many children there were, or fails with what does not agree.
"""

# ruff: noqa: E402
from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproject.settings")

import django

django.setup()

from django.db import connections
from django.db.utils import OperationalError

from analytics.ingest import Ingester
from analytics.models import Position, QuarantinedSegment
from proxy.telemetry.spool import Spool, segments
from tests.analytics.traffic import assert_counted, spool, varied

STEPS = 28
"""More than a run over two batches has."""


def forked(work: Callable[[], None]) -> int:
    """The pid of a child that does this and nothing else."""
    connections.close_all()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        connections.close_all()
        code = 0
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Its exit code, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_everywhere(folder: Path) -> int:
    """Kill an ingester at its first step, the next one at its second, and so on; twice around."""
    live = Spool(folder, node="node", slot=1, segment_bytes=64 * 1024)
    expected = varied(300, seed=1)
    spool(folder, expected, slot=0)
    (folder / "node-7-1-000001.seg").write_bytes(b"\x10\0\0\0" + b"rubbish" * 9)
    killed = 0
    for number in range(2 * STEPS):
        more = varied(110, seed=1000 + number)
        for item in more:
            live.append(item)
        expected += more
        if number % 7 == 0:  # something to finish, too
            late = varied(20, seed=5000 + number, spread=90_000)
            spool(folder, late, slot=2)
            expected += late
        code = ended(forked(lambda number=number: die_at(folder, number % STEPS + 1)))
        assert code in (0, -signal.SIGKILL), code
        killed += code != 0
    live.close()
    for _ in range(3):
        Ingester(folder, batch=100, grace=0).run()
    assert_counted(expected)
    assert segments(folder) == [], segments(folder)
    left = list(Position.objects.values_list("name", flat=True))
    assert not any((folder / (name + ".seg")).exists() for name in left)
    assert [row.name for row in QuarantinedSegment.objects.all()] == ["node-7-1-000001"]
    return killed


def die_at(folder: Path, number: int) -> None:
    """Ingest with a kill at step `number`."""
    steps = iter(range(1, number))

    def step(name: str) -> None:
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    Ingester(folder, batch=100, grace=0, step=step).run()


def race(folder: Path) -> int:
    """Three ingesters at once, while a worker writes and seals."""
    expected = varied(2000, seed=1)
    spool(folder, expected, slot=0)
    pids = [forked(lambda: persist(folder)) for _ in range(3)]
    live = Spool(folder, node="node", slot=1, segment_bytes=16 * 1024)
    for number in range(40):
        more = varied(25, seed=1000 + number)
        for item in more:
            live.append(item)
        expected += more
    live.close()
    (folder / "end").touch()
    assert [ended(pid) for pid in pids] == [0, 0, 0]
    Ingester(folder, grace=0).run()
    assert_counted(expected)
    assert segments(folder) == []
    return len(pids)


def persist(folder: Path) -> None:
    """Ingest until there is nothing more to come."""
    ingester = Ingester(folder, batch=40, grace=0)
    while True:
        last = (folder / "end").exists()
        try:
            found = ingester.run()
        except OperationalError:  # SQLite was busy for longer than it waits
            continue
        if last and not found.records and not found.overtaken:
            return


if __name__ == "__main__":
    work, place = sys.argv[1], Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    print("ok", {"kill": kill_everywhere, "race": race}[work](place))
