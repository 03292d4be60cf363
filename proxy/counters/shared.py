"""Counters that all workers of one node share: a memory-mapped table with a lock per bucket (`locks.py`).

The file is a page of header, buckets of eight slots, and the buckets' locks. A key's 16-byte digest names its
bucket, whose lock covers finding, deciding and storing. A killed process gives its locks back. A full bucket
gives up what expires first.

Times are `CLOCK_MONOTONIC`, which all processes of a system share and which no change of the wall clock
moves. It begins anew at boot, so the header carries the boot id and a table of an earlier boot is emptied.

A worker may be killed between any two stores. Each store is one aligned word, and their order is such that
what is left behind is the state before the hit, the state after it, an empty slot, or (only at the moment a
sliding window moves on) counts of two windows, which refuse until that window ends and never admit too much.

One store per process and file, used from one thread.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import time
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_UN, lockf
from pathlib import Path

from proxy.counters.algorithms import NOTHING, Outcome, State, Step, decide_all, step_for
from proxy.counters.base import CounterUnavailable, Limit, Verdict
from proxy.counters.locks import BUSY, MUTEX_BYTES, OWNER_DEAD, Locks, open_locks

SLOT_BYTES = 32
SLOTS = 8
BUCKET_BYTES = SLOT_BYTES * SLOTS
HEADER_BYTES = 4096
MAGIC = b"TGCOUNT2"
_HEADER = struct.Struct("<8s16sQ")
_STATE = struct.Struct("=dII")
_KEY_BYTES = 16
_PLACES = 8192
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Place = tuple[Limit, Step, bytes, int, int, int]
"""A key made ready: its limit, that limit's step, its digest, its bucket's lock, where that begins and ends."""


class SharedCounters:
    """The node-shared store. `capacity` slots are made if the file is new; a live table keeps its own.

    A lock that cannot be had within `deadline` seconds (its holder was stopped, not killed) raises
    `CounterUnavailable`, and its bucket is not tried again for `pause` seconds.
    """

    immediate = True

    def __init__(
        self,
        path: Path,
        *,
        capacity: int = 131_072,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = 0.1,
        pause: float = 1.0,
    ) -> None:
        self.evictions = 0
        self._clock = clock
        self._deadline = deadline
        self._pause = pause
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._buckets, self._map, self._locks = _prepare(self._descriptor, -(-capacity // SLOTS))
        self._take, self._give = self._locks.take, self._locks.give
        self._find = self._map.find
        self._state = _STATE.unpack_from
        self._expires = memoryview(self._map).cast("d")
        self._counts = memoryview(self._map).cast("I")
        self._places: dict[bytes, Place] = {}
        self._stuck: dict[int, float] = {}

    def __len__(self) -> int:
        """How many slots remember something; reads the whole table."""
        now = self._clock()
        first, last = HEADER_BYTES // 8 + 2, (HEADER_BYTES + self._buckets * BUCKET_BYTES) // 8
        return sum(expires > now for expires in self._expires[first : last : SLOT_BYTES // 8])

    @property
    def capacity(self) -> int:
        """How many keys the table holds at most."""
        return self._buckets * SLOTS

    def hit(self, key: bytes, limit: Limit, cost: int = 1) -> Verdict:
        """Count `cost` hits for `key` if they fit, exactly over all processes that opened the file."""
        place = self._places.get(key)
        if place is None or place[0] is not limit:
            place = self._place(key, limit)
        _, step, digest, lock, start, end = place
        refused = self._take(lock)
        if refused:
            self._wait(lock, refused)
        try:
            now = self._clock()
            at = self._find(digest, start, end)
            if at < 0:
                return self._first_hit(now, place, cost)
            before, previous, current = self._state(self._map, at + _KEY_BYTES)
            outcome = verdict, expires, _, count = step(now, before, previous, current, cost)
            if expires == before:
                self._counts[(at >> 2) + 7] = count
            else:
                self._store(now, at, (before, previous, current), outcome)
            return verdict
        finally:
            self._give(lock)

    def hit_all(self, hits: list[tuple[bytes, Limit]], cost: int = 1) -> list[Verdict]:
        """Several limits at once, all or nothing. Buckets are locked in order of place: no deadlock."""
        known, places, locks = self._places, [], []
        for key, limit in hits:
            place = known.get(key)
            if place is None or place[0] is not limit:
                place = self._place(key, limit)
            places.append(place)
            if place[3] not in locks:
                locks.append(place[3])
        locks.sort()
        taken = 0
        try:
            for lock in locks:
                refused = self._take(lock)
                if refused:
                    self._wait(lock, refused)
                taken += 1
            return self._hit_places(places, cost)
        finally:
            for lock in locks[:taken]:
                self._give(lock)

    async def close(self) -> None:
        """Unmap the table; what is counted stays."""
        self._expires.release()
        self._counts.release()
        self._locks.close()
        self._map.close()
        os.close(self._descriptor)

    def _place(self, key: bytes, limit: Limit) -> Place:
        digest = hashlib.blake2b(key, digest_size=_KEY_BYTES).digest()
        bucket = int.from_bytes(digest[:8], "little") % self._buckets
        start = HEADER_BYTES + bucket * BUCKET_BYTES
        if len(self._places) >= _PLACES:
            self._places.clear()
        lock = self._locks.lock(bucket)
        place = self._places[key] = (limit, step_for(limit), digest, lock, start, start + BUCKET_BYTES)
        return place

    def _wait(self, lock: int, refused: int) -> None:
        """Have a lock that was not free; its holder needs a microsecond if it runs."""
        until = time.monotonic() + self._deadline
        if self._stuck.get(lock, 0.0) > until - self._deadline:
            until = 0.0
        while refused == BUSY and time.monotonic() < until:
            time.sleep(0)
            refused = self._take(lock)
        if refused == OWNER_DEAD:
            self._locks.heal(lock)
        elif refused:
            if until:
                self._stuck[lock] = until + self._pause
            raise CounterUnavailable("a process that holds the counter does not run")
        self._stuck.pop(lock, None)

    def _hit_places(self, places: list[Place], cost: int) -> list[Verdict]:
        now = self._clock()
        parts: list[tuple[Step, State]] = []
        found = []
        for _, step, digest, _, start, end in places:
            at = self._find(digest, start, end)
            found.append(at)
            parts.append((step, self._state(self._map, at + _KEY_BYTES) if at >= 0 else NOTHING))
        outcomes = decide_all(now, parts, cost)
        for index, at in enumerate(found):
            outcome = outcomes[index]
            if outcome[1] <= now:
                continue
            if at >= 0:
                self._store(now, at, parts[index][1], outcome)
            else:
                self._insert(now, places[index], outcome)
        return [outcome[0] for outcome in outcomes]

    def _first_hit(self, now: float, place: Place, cost: int) -> Verdict:
        outcome = place[1](now, *NOTHING, cost)
        if outcome[0].allowed:
            self._insert(now, place, outcome)
        return outcome[0]

    def _store(self, now: float, at: int, state: State, outcome: Outcome) -> None:
        """Write what changed. A live slot gets its new time first, a dead one last: see the module's text."""
        verdict, expires, previous, current = outcome
        live = state[0] > now
        if not (live or verdict.allowed):
            return
        word = (at + _KEY_BYTES) >> 3
        if live and expires != state[0]:
            self._expires[word] = expires
        if previous != state[1]:
            self._counts[word * 2 + 2] = previous
        if current != state[2]:
            self._counts[word * 2 + 3] = current
        if not live:
            self._expires[word] = expires

    def _insert(self, now: float, place: Place, outcome: Outcome) -> None:
        """Take the slot that expires first; it counts as empty until its last store."""
        _, _, digest, _, start, end = place
        first = (start + _KEY_BYTES) >> 3
        last = end >> 3
        words = range(first, last, SLOT_BYTES >> 3)
        word = min(words, key=self._expires.__getitem__)
        if self._expires[word] > now:
            self.evictions += 1
        at = (word << 3) - _KEY_BYTES
        self._expires[word] = 0.0
        self._map[at : at + _KEY_BYTES] = digest
        self._store(now, at, (0.0, -1, -1), outcome)


def _prepare(descriptor: int, buckets: int) -> tuple[int, mmap.mmap, Locks]:
    """Make the table ready and map it; one process at a time. A table that is there keeps its size."""
    lockf(descriptor, LOCK_EX, HEADER_BYTES, 0)
    try:
        header = os.pread(descriptor, _HEADER.size, 0).ljust(_HEADER.size, b"\0")
        magic, boot, present = _HEADER.unpack(header)
        size = os.fstat(descriptor).st_size
        if magic == MAGIC and boot == _boot_id() and present > 0 and size >= _table_bytes(present):
            return int(present), *_map(descriptor, int(present))
        _empty(descriptor, size, _table_bytes(buckets))
        mapped, locks = _map(descriptor, buckets)
        locks.make(buckets)
        os.pwrite(descriptor, _HEADER.pack(MAGIC, _boot_id(), buckets), 0)
        return buckets, mapped, locks
    finally:
        lockf(descriptor, LOCK_UN, HEADER_BYTES, 0)


def _table_bytes(buckets: int) -> int:
    return HEADER_BYTES + buckets * (BUCKET_BYTES + MUTEX_BYTES)


def _map(descriptor: int, buckets: int) -> tuple[mmap.mmap, Locks]:
    mapped = mmap.mmap(descriptor, _table_bytes(buckets))
    return mapped, open_locks(mapped, descriptor, HEADER_BYTES + buckets * BUCKET_BYTES)


def _empty(descriptor: int, size: int, wanted: int) -> None:
    """Zero the file and make it long enough; never shorter, since somebody may have it mapped."""
    os.pwrite(descriptor, bytes(_HEADER.size), 0)
    zeros = bytes(1 << 20)
    for offset in range(0, size, len(zeros)):
        os.pwrite(descriptor, zeros[: size - offset], offset)
    if size < wanted:
        os.ftruncate(descriptor, wanted)


def _boot_id() -> bytes:
    """16 bytes that differ after each boot; zeros where the system does not tell."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))
    except OSError:
        return bytes(_KEY_BYTES)
