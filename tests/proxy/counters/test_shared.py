"""The node-shared table: exact over processes, whole after kills, bounded, new after a boot."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.counters import shared
from proxy.counters.base import CounterUnavailable, Limit
from proxy.counters.memory import MemoryCounters
from proxy.counters.shared import HEADER_BYTES, SLOTS, SharedCounters
from tests.proxy.counters.conftest import Clock
from tests.proxy.counters.processes import admitted, start

STOPPER = Path(__file__).with_name("stopper.py")
ALGORITHMS = ("fixed-window", "sliding-window", "gcra")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "counters"


@pytest.fixture
def store(table: Path, clock: Clock) -> Iterator[SharedCounters]:
    opened = SharedCounters(table, capacity=64, clock=clock)
    yield opened
    asyncio.run(opened.close())


@pytest.mark.parametrize("processes", [2, 4, 8])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_exactly_the_limit_over_processes(table: Path, processes: int, algorithm: str) -> None:
    count = admitted("shared", table, processes=processes, hits=1000, amount=100, algorithm=algorithm)
    assert count == 100


def test_exactly_the_limit_every_time(tmp_path: Path) -> None:
    counts = [
        admitted(
            "shared", tmp_path / str(n), processes=2, hits=20_000, amount=10_000, algorithm="sliding-window"
        )
        for n in range(4)
    ]
    assert counts == [10_000] * 4


def test_a_killed_holder_leaves_no_lock(table: Path) -> None:
    process = start(table, "stop", script=STOPPER)
    store = SharedCounters(table, deadline=0.02, pause=0.0)
    with pytest.raises(CounterUnavailable):
        store.hit(b"key", Limit("fixed-window", 5, 60.0))
    process.kill()
    process.communicate()
    assert store.hit(b"key", Limit("fixed-window", 5, 60.0)).remaining == 4
    asyncio.run(store.close())


def test_a_stopped_holder_does_not_hold_the_worker(table: Path) -> None:
    """Decided within the deadline, then at once; other buckets go on; all is well when it runs again."""
    process = start(table, "stop", script=STOPPER)
    os.kill(process.pid, signal.SIGSTOP)
    store = SharedCounters(table, deadline=1.0, pause=60.0)
    limit = Limit("fixed-window", 5, 60.0)
    begin = time.monotonic()
    with pytest.raises(CounterUnavailable):
        store.hit(b"key", limit)
    assert 1 <= time.monotonic() - begin < 10
    begin = time.monotonic()
    with pytest.raises(CounterUnavailable):
        store.hit_all([(b"other", limit), (b"key", limit)])
    assert time.monotonic() - begin < 0.9
    assert store.hit(b"other", limit).remaining == 4, "nothing was charged, its lock is free"
    process.kill()
    process.communicate()
    assert store.hit(b"key", limit).allowed
    asyncio.run(store.close())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("later", [1.0, 65.0, 500.0])
@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("stores", range(5))
def test_killed_before_any_store(table: Path, algorithm: str, later: float, before: int, stores: int) -> None:
    """Whatever a kill -9 leaves: never more than the limit, and usable again within two periods."""
    limit = Limit(algorithm, 3, 60.0)  # type: ignore[arg-type]
    clock = Clock()
    store = SharedCounters(table, capacity=64, clock=clock)
    for _ in range(before):
        assert store.hit(b"key", limit).allowed
    clock.now += later
    process = start(table, "kill", stores, clock.now, algorithm, 3, script=STOPPER)
    process.communicate()
    count = sum(store.hit(b"key", limit).allowed for _ in range(5))
    untouched = MemoryCounters(clock=clock)
    clock.now -= later
    for _ in range(before):
        untouched.hit(b"key", limit)
    clock.now += later
    assert count <= sum(untouched.hit(b"key", limit).allowed for _ in range(5))
    clock.now += 121.0
    assert store.hit(b"key", limit).allowed
    asyncio.run(store.close())


def test_workers_killed_under_load_leave_a_sound_table(table: Path) -> None:
    """Counts only ever grow to the limit: what was admitted before and after a kill fits it together."""
    limit = Limit("fixed-window", 1_000_000, 3600.0)
    store = SharedCounters(table, deadline=10.0)
    last = store.hit(b"contended", limit).remaining
    for _ in range(8):
        process = start("shared", table, 10_000_000, 1_000_000, "fixed-window")
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        before, until = last, time.monotonic() + 10
        while last == before - 1 or last == before:
            last = store.hit(b"contended", limit).remaining
            assert time.monotonic() < until
        process.kill()
        process.communicate()
        now = store.hit(b"contended", limit).remaining
        assert now < last
        last = now
    asyncio.run(store.close())


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.25, 3.0, 11.0, 70.0, -0.5]),
            st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=3, unique=True),
            st.integers(1, 3),
        ),
        max_size=60,
    )
)
def test_same_answers_as_the_memory_store(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, list[int], int]]
) -> None:
    clock = Clock()
    table = SharedCounters(tmp_path_factory.mktemp("same") / "counters", capacity=64, clock=clock)
    memory = MemoryCounters(clock=clock)
    limits = [
        Limit("fixed-window", 4, 10.0),
        Limit("sliding-window", 5, 10.0),
        Limit("gcra", 7, 10.0, 3),
        Limit("sliding-window", 2, 60.0),
    ]
    for pause, chosen, cost in steps:
        clock.now += pause
        hits = [(b"key %d" % index, limits[index]) for index in chosen]
        if len(hits) == 1:
            assert table.hit(*hits[0], cost) == memory.hit(*hits[0], cost)
        else:
            assert table.hit_all(hits, cost) == memory.hit_all(hits, cost)
    asyncio.run(table.close())


def test_a_full_bucket_gives_up_what_expires_first(table: Path, clock: Clock) -> None:
    store = SharedCounters(table, capacity=SLOTS, clock=clock)
    for number in range(SLOTS):
        store.hit(b"%d" % number, Limit("fixed-window", 1, 60.0 + number))
    assert (len(store), store.evictions) == (SLOTS, 0)
    store.hit(b"new", Limit("fixed-window", 1, 3600.0))
    assert (len(store), store.evictions) == (SLOTS, 1)
    assert not store.hit(b"new", Limit("fixed-window", 1, 3600.0)).allowed
    assert not store.hit(b"1", Limit("fixed-window", 1, 61.0)).allowed
    assert store.hit(b"0", Limit("fixed-window", 1, 60.0)).allowed, "it was given up"
    asyncio.run(store.close())


def test_what_is_past_makes_room_without_eviction(table: Path, clock: Clock) -> None:
    store = SharedCounters(table, capacity=SLOTS, clock=clock)
    for number in range(100):
        store.hit(b"%d" % number, Limit("fixed-window", 1, 0.5))
        clock.now += 0.1
    assert store.evictions == 0
    asyncio.run(store.close())


def test_many_keys_stay_in_bounds(store: SharedCounters, table: Path) -> None:
    size = table.stat().st_size
    for number in range(20_000):
        store.hit(b"%d" % number, Limit("sliding-window", 1, 60.0))
    assert table.stat().st_size == size
    assert len(store) == store.capacity == 64
    assert store.evictions == 20_000 - 64
    assert len(store._places) <= 8192


def test_counts_outlive_the_process(table: Path, clock: Clock) -> None:
    limit = Limit("fixed-window", 3, 60.0)
    for left in (2, 1, 0):
        store = SharedCounters(table, clock=clock)
        assert store.hit(b"key", limit).remaining == left
        asyncio.run(store.close())


def test_a_raised_amount_keeps_the_count(store: SharedCounters) -> None:
    for _ in range(3):
        store.hit(b"key", Limit("fixed-window", 3, 60.0))
    assert store.hit(b"key", Limit("fixed-window", 10, 60.0)).remaining == 6


def test_a_boot_empties_the_table(table: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock begins anew at boot: what the table says would lie in the far future."""
    limit = Limit("fixed-window", 1, 86_400.0)
    clock.now = 1_000_000.0
    store = SharedCounters(table, clock=clock)
    store.hit(b"key", limit)
    asyncio.run(store.close())
    monkeypatch.setattr(shared, "_boot_id", lambda: b"another boot id!")
    clock.now = 5.0
    store = SharedCounters(table, clock=clock)
    assert len(store) == 0
    assert store.hit(b"key", limit).allowed
    asyncio.run(store.close())


def test_a_live_table_keeps_its_capacity(table: Path, store: SharedCounters) -> None:
    other = SharedCounters(table, capacity=1024)
    assert other.capacity == store.capacity == 64
    asyncio.run(other.close())


@pytest.mark.parametrize("content", [b"", b"x", b"TGCOUNT2", b"\xff" * 10_000, b"TGCOUNT2" + b"\xff" * 24])
def test_a_broken_file_is_made_anew(table: Path, clock: Clock, content: bytes) -> None:
    table.write_bytes(content)
    store = SharedCounters(table, capacity=64, clock=clock)
    assert store.capacity == 64
    assert [store.hit(b"key", Limit("fixed-window", 1, 60.0)).allowed for _ in range(2)] == [True, False]
    asyncio.run(store.close())


def test_garbage_in_a_slot_is_no_way_out(table: Path, clock: Clock) -> None:
    """A slot whose bytes are wild answers within bounds and recovers."""
    store = SharedCounters(table, capacity=SLOTS, clock=clock)
    limit = Limit("sliding-window", 5, 60.0)
    store.hit(b"key", limit)
    slot = (HEADER_BYTES + 16) // 8
    for wild in (float("inf"), 1e300, -1e300):
        store._expires[slot] = wild
        assert 0 <= store.hit(b"key", limit).remaining <= 5
        clock.now += 121.0
        assert store.hit(b"key", limit).allowed
    asyncio.run(store.close())


def test_the_file_is_private(store: SharedCounters, table: Path) -> None:
    assert table.stat().st_mode & 0o077 == 0


def test_the_system_clock_is_shared_by_processes(table: Path) -> None:
    """The default clock is the one that no change of the wall clock moves."""
    store = SharedCounters(table)
    assert store._clock is time.monotonic
    asyncio.run(store.close())
