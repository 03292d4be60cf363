"""What the workers have done since one last looked: differences of the counters in their status files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from analytics.questions import class_of
from proxy.telemetry.metrics import BOUNDS_US, BUCKETS, CODE, COUNTERS, ROUTE, SIZES, Key, series
from proxy.telemetry.status import MAGIC, STARTED, WorkerStatus, status_files

NO_API = "(no Api)"


@dataclass
class Moment:
    """Some `seconds` up to `at` (Unix seconds): requests by class, by Api, by what failed, by duration.

    `errors` counts by status, terminal state and Api what got 4xx, 5xx or no answer; `buckets` are those of
    `proxy.telemetry.metrics.BOUNDS_US`.
    """

    at: float
    seconds: float
    classes: Counter[str] = field(default_factory=Counter)
    apis: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    errors: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def count(self, what: _Code | int, more: int) -> None:
        """Add what one cell has grown by."""
        if isinstance(what, int):
            self.buckets[what] += more
            return
        self.classes[what.of_class] += more
        self.apis[what.api] += more
        if what.failed:
            self.failed[what.api] += more
        if what.error:
            self.errors[what.error] += more


class _Code(NamedTuple):
    """What a request of a series with a status counts for."""

    api: str
    of_class: str
    failed: bool
    error: tuple[str, str, str] | None

    @classmethod
    def of(cls, api: str, status: str, state: str) -> _Code:
        """That of one Api, status and terminal state."""
        name, of_class = api or NO_API, class_of(int(status))
        bad = of_class in ("4xx", "5xx", "none")
        return cls(name, of_class, of_class in ("5xx", "none"), (status, state, name) if bad else None)


def _cells(key: Key) -> list[_Code | int | None]:
    """What each cell of a series counts for: a status, a bucket of durations, or nothing that is shown."""
    size = SIZES[key[0]]
    if key[0] == CODE:
        _, api, _, status, state = key
        return [_Code.of(api, status, state)]
    return [*range(BUCKETS), *[None] * (size - BUCKETS)] if key[0] == ROUTE else [None] * size


class Meter:
    """Looks at all status files of a folder, and remembers what it saw."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}
        self._looked_at = 0.0
        self._clock = 0.0

    def look(self) -> Moment:
        """What happened since the last call; nothing at the first."""
        now, clock = time.time(), time.monotonic()
        moment = Moment(now, clock - self._clock if self._clock else 1.0)
        for file in self._open_files():
            for what, more in file.growth():
                moment.count(what, more)
        self._looked_at, self._clock = now, clock
        return moment

    def close(self) -> None:
        """Unmap all."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _open_files(self) -> list[_File]:
        try:
            paths = [path for _, path in status_files(self._folder)]
        except OSError:
            paths = []
        found: dict[str, _File] = {}
        for path in paths:
            file = self._files.pop(path.name, None) or self._open(path)
            if file is not None and not file.is_still(path):
                file.close()
                file = self._open(path)
            if file is not None:
                found[path.name] = file
        self.close()
        self._files = found
        return list(found.values())

    def _open(self, path: Path) -> _File | None:
        try:
            file = _File(path)
        except (OSError, ValueError):
            return None  # half made, or of another version; the next look tries again
        if self._looked_at and file.started > self._looked_at:
            file.expect_from_nothing()
        return file


class _File:
    """One status file, mapped; the list of its series is read on from where it ended."""

    def __init__(self, path: Path) -> None:
        self._inode = path.stat().st_ino
        self._status = WorkerStatus(path, writer=False)
        self._begin()
        if self._status.numbers[0] != MAGIC:
            self.close()
            raise ValueError(f"{path.name} is of another version.")

    def _begin(self) -> None:
        self._keys: list[Key] = []
        self._cells: list[_Code | int | None] = []
        self._end, self._next = 0, COUNTERS
        self._before: list[int] | None = None
        self._started = self._status.numbers[STARTED]

    @property
    def started(self) -> float:
        """When its worker started, in Unix seconds."""
        return float(self._started / 1e6)

    def expect_from_nothing(self) -> None:
        """The file is new: all that it counts is growth."""
        self._before = []

    def is_still(self, path: Path) -> bool:
        """Whether the file at that path is the mapped one."""
        try:
            return path.stat().st_ino == self._inode
        except OSError:
            return False

    def growth(self) -> Iterator[tuple[_Code | int, int]]:
        """What is shown of the counters, and by how much it grew since the last call."""
        if self._status.numbers[STARTED] != self._started:
            self._next_worker()
        self._learn()
        numbers = self._status.numbers[COUNTERS : self._next].tolist()
        before, self._before = self._before, numbers
        if before is None or before == numbers:
            return
        before += [0] * (len(numbers) - len(before))
        for what, old, new in zip(self._cells, before, numbers, strict=False):
            if new != old and what is not None:
                yield what, new - old if new > old else new

    def _next_worker(self) -> None:
        """Counters go on under the slot's next worker, unless it had to begin a new list."""
        keys, before = self._keys, self._before
        self._begin()
        self._learn()
        if self._keys[: len(keys)] == keys:
            self._before = before

    def _learn(self) -> None:
        try:
            base = self._next - COUNTERS
            start = self._end
            for key, cell, end in series(self._status.labels[start:]):
                self._keys.append(key)
                self._cells += _cells(key)
                self._end, self._next = start + end, base + cell + SIZES[key[0]]
        except ValueError:
            return  # damaged by a power cut; the slot's next worker starts it over

    def close(self) -> None:
        """Unmap."""
        self._status.close()


def quantile(buckets: Sequence[int], share: float) -> float | None:
    """The duration in microseconds below which that share lies, as if each bucket were filled evenly.

    None without requests; above the last bound, that bound.
    """
    total = sum(buckets)
    if not total:
        return None
    wanted, low = share * total, 0
    for bound, count in zip(BOUNDS_US, buckets, strict=False):
        if count and wanted <= count:
            return low + (bound - low) * wanted / count
        wanted, low = wanted - count, bound
    return float(BOUNDS_US[-1])
