"""From records to tallies, without a database: pure functions over one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Any

from msgspec.structs import astuple

from analytics.grains import CODE, DERIVATIONS, DETAIL, Dimensions
from analytics.histogram import Histogram, bucket
from proxy.telemetry.record import STATES, TrafficRecord

MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = (MINUTE, HOUR, DAY)
"""Window lengths in seconds."""

Row = tuple[Any, ...]
"""A TrafficRecord's values in the order of its fields."""

FIELDS: tuple[str, ...] = TrafficRecord.__struct_fields__
REPAIR_TEXT = 1024
_NUMBERS = ("duration_us", "upstream_us", "bytes_in", "bytes_out", "state", "status", "revision", "tries")
_LATEST, _LARGEST, _STATES = 4e9, 2**53, len(STATES)
_numbers = itemgetter(0, *map(FIELDS.index, _NUMBERS))
_dimensions = itemgetter(
    *map(FIELDS.index, ("api", "route", "app", "plan", "target", "status", "code", "policy", "state"))
)
_texts = itemgetter(*(i for i, name in enumerate(FIELDS) if name not in {"time", *_NUMBERS}))
_OBSERVED = FIELDS.index("observed")


class Tally:
    """What one series has in one window; the fields are those of a Rollup."""

    __slots__ = (
        "_encoded",
        "bytes_in",
        "bytes_out",
        "count",
        "duration",
        "duration_sum",
        "observed",
        "upstream",
        "upstream_sum",
    )

    def __init__(self) -> None:
        self.count = self.bytes_in = self.bytes_out = self.observed = 0
        self.duration_sum = self.upstream_sum = 0
        self.duration, self.upstream = Histogram(), Histogram()
        self._encoded: tuple[bytes, bytes] | None = None

    def encoded(self) -> tuple[bytes, bytes]:
        """Both histograms as they are stored; from now on nothing is to be added."""
        if self._encoded is None:
            self._encoded = self.duration.encode(), self.upstream.encode()
        return self._encoded

    def merge(self, other: Tally) -> None:
        """Add what another one counted."""
        self.count += other.count
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.observed += other.observed
        self.duration_sum += other.duration_sum
        self.upstream_sum += other.upstream_sum
        self.duration.merge(other.duration)
        self.upstream.merge(other.upstream)


SeriesKey = tuple[int, tuple[Any, ...]]
"""Number of the grain, and the values of its dimensions."""
Window = dict[SeriesKey, Tally]
Windows = dict[int, Window]
"""Tallies by the start of their window."""


def rows_of(records: Iterable[TrafficRecord]) -> tuple[list[Row], int]:
    """The records' values, safe to store and to add up; and how many had to be repaired for that.

    A worker writes no such record, but one with an impossible number must not stop all the others.
    """
    rows = [*map(astuple, records)]
    repaired = 0
    suspicious = "\0" in "".join(chain.from_iterable(map(_texts, rows)))
    for place, row in enumerate(rows):
        time, duration, upstream, bytes_in, bytes_out, state, status, _, tries = _numbers(row)
        if suspicious or not (
            0 <= time < _LATEST
            and 0 <= duration < _LARGEST
            and 0 <= upstream < _LARGEST
            and 0 <= bytes_in < _LARGEST
            and 0 <= bytes_out < _LARGEST
            and 0 <= state < _STATES
            and 0 <= status < 1000
            and 0 <= tries < _LARGEST
            and len(row[2]) <= REPAIR_TEXT
        ):
            rows[place] = _repair(row)
            repaired += rows[place] != row
    return rows, repaired


def _repair(row: Row) -> Row:
    limits = {"state": _STATES - 1, "status": 999}
    fixed: list[Any] = []
    for name, value in zip(FIELDS, row, strict=True):
        if isinstance(value, str):
            fixed.append(value.replace("\0", "\N{REPLACEMENT CHARACTER}")[:REPAIR_TEXT])
        elif name == "time":
            fixed.append(value if 0 <= value < _LATEST else 0.0)
        else:
            fixed.append(min(max(value, 0), limits.get(name, _LARGEST)))
    return tuple(fixed)


def tally(rows: Iterable[Row]) -> dict[int, dict[Dimensions, Tally]]:
    """The rows added up by minute, and by all dimensions."""
    minutes: dict[int, dict[Dimensions, Tally]] = {}
    for row in rows:
        time, duration, upstream, bytes_in, bytes_out, _, _, _, _ = _numbers(row)
        dimensions = _dimensions(row)
        start = int(time) // MINUTE * MINUTE
        try:
            found = minutes[start][dimensions]
        except KeyError:
            found = minutes.setdefault(start, {})[dimensions] = Tally()
        found.count += 1
        found.bytes_in += bytes_in
        found.bytes_out += bytes_out
        found.duration_sum += duration
        number = bucket(duration)
        found.duration[number] = found.duration.get(number, 0) + 1
        if upstream:
            found.upstream_sum += upstream
            number = bucket(upstream)
            found.upstream[number] = found.upstream.get(number, 0) + 1
        if row[_OBSERVED]:
            found.observed += 1
    return minutes


def grained(minutes: dict[int, dict[Dimensions, Tally]]) -> Windows:
    """The same by minute in every grain. Tallies may be shared: they are not to be changed any more."""
    return {start: _grained(window) for start, window in minutes.items()}


def _grained(window: dict[Dimensions, Tally]) -> Window:
    grains: dict[int, dict[Any, Tally]] = {DETAIL.number: window}
    for grain, source, pick in DERIVATIONS:
        gathered: dict[Any, list[Tally]] = {}
        for values, found in grains[source.number].items():
            if not grain.errors_only or values[CODE]:
                gathered.setdefault(pick(values), []).append(found)
        grains[grain.number] = {values: _sum(tallies) for values, tallies in gathered.items()}
    return {
        (number, values): found for number, tallies in grains.items() for values, found in tallies.items()
    }


def widened(windows: Windows, step: int) -> Windows:
    """The same by longer windows of `step` seconds."""
    together: dict[int, list[Window]] = {}
    for start, window in windows.items():
        together.setdefault(start // step * step, []).append(window)
    return {start: _joined(parts) for start, parts in together.items()}


def _joined(windows: list[Window]) -> Window:
    if len(windows) == 1:
        return windows[0]
    gathered: dict[SeriesKey, list[Tally]] = {}
    for window in windows:
        for key, found in window.items():
            gathered.setdefault(key, []).append(found)
    return {key: _sum(tallies) for key, tallies in gathered.items()}


def _sum(tallies: list[Tally]) -> Tally:
    if len(tallies) == 1:
        return tallies[0]
    total = Tally()
    for found in tallies:
        total.merge(found)
    return total


def all_steps(rows: Iterable[Row]) -> Iterator[tuple[int, Windows]]:
    """Window length and tallies: by minute, hour and day."""
    windows = grained(tally(rows))
    for step in STEPS:
        windows = widened(windows, step) if step > MINUTE else windows
        yield step, windows
