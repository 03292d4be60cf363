"""The status file of a worker slot: what the worker is doing and what it has counted, in shared memory.

    numbers   u64 cells: the header (see the constants), then the counters from COUNTERS on
    labels    append-only text that says which counter is which (`proxy.telemetry.metrics`)

The worker writes with plain memory stores; the node agent maps the file and reads. The header describes
the present process, the counters belong to the slot and go on when its worker is replaced.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAGIC = 0x5449_4445_5354_0001
(
    _MAGIC,
    PID,
    STARTED,
    HEARTBEAT,
    STATE,
    REVISION,
    GENERATION,
    CONNECTIONS,
    IN_FLIGHT,
    LOOP_LAG,
    DROPPED,
) = range(11)
"""Cells of the header. STARTED is Unix microseconds, HEARTBEAT CLOCK_MONOTONIC nanoseconds, LOOP_LAG the
longest delay of the event loop in microseconds, DROPPED the records this process could not spool."""

STARTING, READY, DRAINING, STOPPED = range(4)
STATE_NAMES = ("starting", "ready", "draining", "stopped")

COUNTERS = 64
"""The first cell of the counters."""
CELLS = 256 * 1024
LABEL_BYTES = 2 * 1024 * 1024
FILE_BYTES = CELLS * 8 + LABEL_BYTES
STALE_SECONDS = 3.0

_NAME = re.compile(r"(\d+)(-spare)?\.status")


class SlotBusy(Exception):
    """Two living workers write this slot's status already."""


class WorkerStatus:
    """One slot's file, mapped; write with `status.numbers[IN_FLIGHT] += 1` (below 0 is a ValueError).

    A worker that starts while the slot's last one still drains gets the slot's spare file: two writers
    would lose each other's increments. Raises SlotBusy if that is taken too, OSError if the disk is full.
    With `writer=False` the file is mapped for reading and nothing is touched.
    """

    def __init__(self, path: Path, writer: bool = True) -> None:
        self._descriptor, self.path = _lock(path) if writer else (-1, path)
        try:
            self._map = _map_for_writing(self._descriptor) if writer else _map_for_reading(path)
        except OSError:
            if writer:
                os.close(self._descriptor)
            raise
        self._view = memoryview(self._map)
        self.numbers = self._view[: CELLS * 8].cast("Q")
        self.labels = self._view[CELLS * 8 :]
        if writer:
            self._begin()

    def _begin(self) -> None:
        for cell in range(PID, COUNTERS):
            self.numbers[cell] = 0
        self.numbers[PID] = os.getpid()
        self.numbers[STARTED] = time.time_ns() // 1000
        self.beat()

    def beat(self) -> None:
        """Say that the worker lives."""
        self.numbers[HEARTBEAT] = time.monotonic_ns()

    @property
    def alive(self) -> bool:
        """The worker has not stopped and its heartbeat is fresh."""
        return _slot_status(0, self.numbers, time.monotonic_ns()).alive

    def close(self) -> None:
        """Unmap and let the slot go."""
        self.numbers.release()
        self.labels.release()
        self._view.release()
        self._map.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(path: Path) -> tuple[int, Path]:
    for candidate in (path, path.with_name(f"{path.stem}-spare{path.suffix}")):
        descriptor = os.open(candidate, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor, candidate
        except BlockingIOError:
            os.close(descriptor)
    raise SlotBusy(f"Two workers already run in the slot of {path.name}.")


def _map_for_writing(descriptor: int) -> mmap.mmap:
    empty = os.fstat(descriptor).st_size == 0
    os.posix_fallocate(descriptor, 0, FILE_BYTES)
    mapped = mmap.mmap(descriptor, FILE_BYTES)
    magic = MAGIC.to_bytes(8, sys.byteorder)
    if mapped[:8] != magic:
        if not empty:  # of another version; zeroed and not cut, since the agent may have it mapped
            mapped[:] = bytes(FILE_BYTES)
        mapped[:8] = magic
    return mapped


def _map_for_reading(path: Path) -> mmap.mmap:
    """Raises ValueError if the file is only half made."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), FILE_BYTES, access=mmap.ACCESS_READ)


class SlotStatus(NamedTuple):
    """What a slot's newest worker last said of itself.

    `started` is Unix seconds, `age` seconds since its heartbeat.
    """

    slot: int
    pid: int
    started: float
    age: float
    state: int
    revision: int
    generation: int
    connections: int
    in_flight: int
    loop_lag_us: int
    dropped: int

    @property
    def alive(self) -> bool:
        """It has not stopped and its heartbeat is fresh."""
        return self.state != STOPPED and self.age < STALE_SECONDS

    @property
    def ready(self) -> bool:
        """It takes requests."""
        return self.state == READY and self.age < STALE_SECONDS


def status_files(folder: Path) -> list[tuple[int, Path]]:
    """Slot number and path of every status file, spare ones after the slot's own."""
    found = []
    for name in os.listdir(folder):
        match = _NAME.fullmatch(name)
        if match:
            found.append((int(match[1]), folder / name))
    return sorted(found, key=lambda pair: (pair[0], len(pair[1].name)))


def read_all(folder: Path) -> list[SlotStatus]:
    """What the newest worker of every slot says, by number."""
    newest: dict[int, SlotStatus] = {}
    for status in read_each(folder):
        if status.slot not in newest or status.started >= newest[status.slot].started:
            newest[status.slot] = status
    return [newest[slot] for slot in sorted(newest)]


def read_each(folder: Path) -> Iterator[SlotStatus]:
    """What each worker says, also two of one slot. Files of another version or half made are left out."""
    now = time.monotonic_ns()
    for slot, path in status_files(folder):
        try:
            with path.open("rb") as file:
                header = memoryview(file.read(COUNTERS * 8))
        except FileNotFoundError:
            continue
        if len(header) < COUNTERS * 8 or header.cast("Q")[_MAGIC] != MAGIC:
            continue
        yield _slot_status(slot, header.cast("Q"), now)


def _slot_status(slot: int, numbers: memoryview, now: int) -> SlotStatus:
    beat = numbers[HEARTBEAT]
    return SlotStatus(
        slot=slot,
        pid=numbers[PID],
        started=numbers[STARTED] / 1e6,
        # A heartbeat from the future is one from before the machine was started anew.
        age=(now - beat) / 1e9 if beat <= now + 1_000_000_000 else float("inf"),
        state=numbers[STATE],
        revision=numbers[REVISION],
        generation=numbers[GENERATION],
        connections=numbers[CONNECTIONS],
        in_flight=numbers[IN_FLIGHT],
        loop_lag_us=numbers[LOOP_LAG],
        dropped=numbers[DROPPED],
    )
