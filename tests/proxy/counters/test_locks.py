"""Both kinds of locks between real processes: busy while held, given back by who dies."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.counters.locks import BUSY, MUTEX_BYTES, OWNER_DEAD, FileLocks, Locks, Mutexes, open_locks

COUNT = 4
OFFSET = 4096
HOLDER = """
import sys
from pathlib import Path
from tests.proxy.counters.test_locks import opened
locks = opened(sys.argv[1], Path(sys.argv[2]))
print(locks.take(locks.lock(1)), flush=True)
sys.stdin.read()
"""


def opened(kind: str, path: Path, make: bool = False) -> Locks:
    """The locks in a file of their own."""
    with path.open("a+b") as file:
        file.truncate(OFFSET + COUNT * MUTEX_BYTES)
        descriptor = os.dup(file.fileno())
    mapped = mmap.mmap(descriptor, OFFSET + COUNT * MUTEX_BYTES)
    locks = open_locks(mapped, descriptor, OFFSET) if kind == "mutex" else FileLocks(descriptor, OFFSET)
    if make:
        locks.make(COUNT)
    return locks


@pytest.fixture(params=["mutex", "file"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def holder(kind: str, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a process that takes lock 1 and holds it until it is killed."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, kind, str(tmp_path / "table")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux is sure to have them")
def test_this_system_has_robust_mutexes(tmp_path: Path) -> None:
    assert isinstance(opened("mutex", tmp_path / "table"), Mutexes)


def test_a_free_lock_is_taken_and_given(kind: str, tmp_path: Path) -> None:
    locks = opened(kind, tmp_path / "table", make=True)
    for index in range(COUNT):
        lock = locks.lock(index)
        for _ in range(3):
            assert locks.take(lock) == 0
            locks.give(lock)
    locks.close()


def test_a_lock_is_busy_while_another_process_holds_it(
    kind: str, tmp_path: Path, holder: Callable[[], subprocess.Popen[str]]
) -> None:
    locks = opened(kind, tmp_path / "table", make=True)
    holder()
    assert locks.take(locks.lock(1)) == BUSY
    assert locks.take(locks.lock(2)) == 0, "others are free"
    locks.give(locks.lock(2))
    locks.close()


def test_who_is_killed_gives_its_locks_back(
    kind: str, tmp_path: Path, holder: Callable[[], subprocess.Popen[str]]
) -> None:
    locks = opened(kind, tmp_path / "table", make=True)
    for _ in range(2):
        process = holder()
        process.kill()
        process.communicate()
        taken = locks.take(locks.lock(1))
        assert taken == (OWNER_DEAD if kind == "mutex" else 0)
        locks.heal(locks.lock(1))
        locks.give(locks.lock(1))
        assert locks.take(locks.lock(1)) == 0
        locks.give(locks.lock(1))
    locks.close()
