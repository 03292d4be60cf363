"""The synchronizer against sources that answer, fail and hang."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import proxy.agent.synchronizer as synchronizer_module
from proxy.agent.source import Unusable
from proxy.agent.synchronizer import Synchronizer
from proxy.config.snapshot import Api, Snapshot
from proxy.config.store import SnapshotStore, snapshot_digest
from proxy.node import IDENTITY, SNAPSHOT, NodeDir, SharedState


class Shelf:
    """A Source in memory that fails or hangs when told to."""

    def __init__(self, state: SharedState) -> None:
        self.state = state
        self.revisions: dict[int, Snapshot] = {}
        self.error: Exception | None = None
        self.hang = threading.Event()
        self.hang.set()
        self.compiled: list[int] = []
        self.unusable: dict[int, str] = {}
        self.forgotten = 0

    def newest(self) -> tuple[int, str]:
        self.hang.wait()
        if self.error is not None:
            raise self.error
        number = max(self.revisions, default=0)
        return (number, snapshot_digest(self.revisions[number])) if number else (0, "")

    def snapshot(self, number: int) -> Snapshot:
        self.compiled.append(number)
        if number in self.unusable:
            raise Unusable(self.unusable[number])
        return self.revisions[number]

    def sync_identities(self) -> None:
        self.state.numbers[IDENTITY] += 1

    def forget(self) -> None:
        self.forgotten += 1


Open = Callable[[], tuple[Synchronizer, Shelf]]


@pytest.fixture
def node(tmp_path: Path) -> NodeDir:
    return NodeDir(tmp_path / "node")


@pytest.fixture
def make(node: NodeDir) -> Iterator[Open]:
    made: list[tuple[Synchronizer, Shelf, SharedState]] = []

    def begin() -> tuple[Synchronizer, Shelf]:
        state = SharedState(node.state)
        shelf = Shelf(state)
        made.append((Synchronizer(node, state, lambda: shelf), shelf, state))
        return made[-1][:2]

    yield begin
    for synchronizer, shelf, state in made:
        shelf.hang.set()
        synchronizer.stop()
        state.close()


def test_a_new_revision_is_written_and_announced(node: NodeDir, make: Open) -> None:
    synchronizer, shelf = make()
    shelf.revisions[7] = Snapshot(revision=7)
    synchronizer.step()
    assert SnapshotStore(node).load_latest().snapshot == Snapshot(revision=7)
    assert shelf.state.numbers[SNAPSHOT] == synchronizer.revision == 7
    synchronizer.step()
    assert shelf.compiled == [7]


def test_nothing_published_is_no_error(make: Open) -> None:
    synchronizer, _ = make()
    synchronizer.step()
    assert synchronizer.revision == 0
    assert synchronizer.identities_loaded


def test_a_restart_writes_nothing_anew(node: NodeDir, make: Open) -> None:
    first, shelf = make()
    shelf.revisions[1] = Snapshot(revision=1)
    first.step()
    second, other = make()
    other.revisions[1] = Snapshot(revision=1)
    written = SnapshotStore(node).path(1).stat().st_mtime_ns
    second.load()
    for _ in range(3):
        second.step()
    assert (second.revision, other.compiled) == (1, [1])
    assert SnapshotStore(node).path(1).stat().st_mtime_ns == written


def test_the_same_number_of_another_database_is_noticed(node: NodeDir, make: Open) -> None:
    first, shelf = make()
    shelf.revisions[2] = Snapshot(revision=2)
    first.step()
    second, other = make()
    other.revisions[2] = Snapshot(revision=2, apis=(Api("other"),))
    second.load()
    second.step()
    assert SnapshotStore(node).load(2).apis == (Api("other"),)


def test_a_restored_database_with_a_lower_number_wins(node: NodeDir, make: Open) -> None:
    synchronizer, shelf = make()
    shelf.revisions = {9: Snapshot(revision=9)}
    synchronizer.step()
    shelf.revisions = {3: Snapshot(revision=3)}
    synchronizer.step()
    assert shelf.state.numbers[SNAPSHOT] == 3
    assert SnapshotStore(node).revisions() == [3]


def test_an_outage_is_said_once_and_its_end_too(
    make: Open, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchronizer_module, "FIRST_PAUSE", 0.01)
    caplog.set_level(logging.INFO)
    synchronizer, shelf = make()
    shelf.revisions[1] = Snapshot(revision=1)
    shelf.error = ConnectionError("server closed the connection\nunexpectedly")
    synchronizer.start()
    assert synchronizer.tried.wait(5)
    _wait(lambda: shelf.forgotten >= 4)
    assert not synchronizer.connected
    assert synchronizer.problem == "ConnectionError: server closed the connection"
    shelf.error = None
    _wait(lambda: synchronizer.connected)
    assert synchronizer.revision == 1
    assert caplog.text.count("The database cannot be used") == 1
    assert caplog.text.count("The database is back after") == 1


def test_a_revision_that_cannot_run_here_is_said_once_and_holds_up_nothing_else(
    make: Open, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronizer, shelf = make()
    shelf.revisions[1] = Snapshot(revision=1)
    synchronizer.step()
    shelf.revisions[2], shelf.unusable[2] = Snapshot(revision=2), "certificate shop: key: is sealed"
    identities = shelf.state.numbers[IDENTITY]
    synchronizer.start()
    _wait(lambda: "revision 2 cannot run here: certificate shop: key: is sealed" in synchronizer.problem)
    _wait(lambda: shelf.state.numbers[IDENTITY] > identities + 1)
    assert synchronizer.connected and synchronizer.revision == 1 and shelf.compiled == [1, 2]
    monkeypatch.setattr(synchronizer_module, "RETRY_INTERVAL", 0.0)
    _wait(lambda: len(shelf.compiled) > 3)
    assert caplog.text.count("Revision 2 cannot run on this node") == 1
    del shelf.unusable[2]
    _wait(lambda: synchronizer.revision == 2 and not synchronizer.problem)


def test_a_hanging_database_holds_nobody(make: Open) -> None:
    synchronizer, shelf = make()
    shelf.hang.clear()
    synchronizer.start()
    assert not synchronizer.tried.wait(0.2)
    assert synchronizer.staleness > 0.1
    started = time.monotonic()
    synchronizer.stop(patience=0.1)
    assert time.monotonic() - started < 5


def test_pauses_double_up_to_a_bound_with_jitter(make: Open) -> None:
    synchronizer, _ = make()
    for failures, longest in ((1, 0.5), (2, 1.0), (3, 2.0), (16, 10.0)):
        synchronizer._failures = failures
        pauses = [synchronizer._pause() for _ in range(50)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
    synchronizer._failures = 0
    assert synchronizer._pause() == 0.25


def test_a_broken_stored_snapshot_is_passed_over(
    node: NodeDir, make: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store = SnapshotStore(node)
    store.write(Snapshot(revision=1))
    store.write(Snapshot(revision=2)).write_bytes(b"TGSNAP01 torn")
    synchronizer, _ = make()
    synchronizer.load()
    assert synchronizer.revision == 1
    assert "revision 2" in caplog.text


def _wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
