"""The in-process store: bounds, and what is forgotten first."""

from __future__ import annotations

import asyncio

from proxy.counters.base import Limit
from proxy.counters.memory import MemoryCounters
from tests.proxy.counters.conftest import Clock

LIMIT = Limit("fixed-window", 2, 60.0)


def test_counts_by_key(clock: Clock) -> None:
    store = MemoryCounters(clock=clock)
    assert [store.hit(b"a", LIMIT).allowed for _ in range(3)] == [True, True, False]
    assert store.hit(b"b", LIMIT).allowed
    clock.now += 60.0
    assert store.hit(b"a", LIMIT).allowed


def test_a_million_keys_stay_bounded(clock: Clock) -> None:
    store = MemoryCounters(capacity=100, clock=clock)
    for number in range(5000):
        store.hit(b"%d" % number, LIMIT)
    assert len(store) == 100
    assert store.evictions == 4900


def test_the_key_hit_least_recently_goes_first(clock: Clock) -> None:
    store = MemoryCounters(capacity=2, clock=clock)
    for key in (b"a", b"b", b"a", b"c"):
        store.hit(key, LIMIT)
    assert not store.hit(b"a", LIMIT).allowed
    assert store.evictions == 1


def test_what_is_past_is_no_eviction(clock: Clock) -> None:
    store = MemoryCounters(capacity=1, clock=clock)
    store.hit(b"a", LIMIT)
    clock.now += 61.0
    store.hit(b"b", LIMIT)
    assert store.evictions == 0


def test_all_or_nothing(clock: Clock) -> None:
    store = MemoryCounters(clock=clock)
    hits = [(b"wide", Limit("sliding-window", 10, 60.0)), (b"narrow", Limit("gcra", 2, 3600.0))]
    allowed = [all(verdict.allowed for verdict in store.hit_all(hits)) for _ in range(5)]
    assert allowed == [True, True, False, False, False]
    wide, narrow = store.hit_all(hits)
    assert (wide.allowed, wide.remaining, wide.retry_after) == (True, 8, 0.0)
    assert (narrow.allowed, narrow.remaining) == (False, 0)
    assert narrow.retry_after == 1800.0


def test_a_refused_group_remembers_no_new_key(clock: Clock) -> None:
    store = MemoryCounters(clock=clock)
    full = Limit("fixed-window", 1, 60.0)
    store.hit(b"full", full)
    store.hit_all([(b"full", full), (b"new", LIMIT)])
    store.hit(b"too dear", LIMIT, cost=3)
    assert len(store) == 1


def test_close(clock: Clock) -> None:
    asyncio.run(MemoryCounters(clock=clock).close())
