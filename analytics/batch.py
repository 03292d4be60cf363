"""From records to tallies, without a database: pure functions over one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from analytics.grains import CODE, DERIVATIONS, DETAIL, Dimensions
from analytics.histogram import BUCKETS, Histogram, bucket
from proxy.telemetry.record import STATES, TrafficRecord

MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = (MINUTE, HOUR, DAY)
"""Window lengths in seconds."""

Row = tuple[Any, ...]
"""A TrafficRecord's values in the order of its fields."""

FIELDS: tuple[str, ...] = TrafficRecord.__struct_fields__
_KINDS = tuple(field.type for field in msgspec.structs.fields(TrafficRecord))
REPAIR_TEXT = 1024
_LATEST, _LARGEST, _STATES = 4e9, 2**53, len(STATES)
_numbers = itemgetter(
    *map(FIELDS.index, ("time", "duration_us", "upstream_us", "bytes_in", "bytes_out", "observed"))
)
_dimensions = itemgetter(
    *map(FIELDS.index, ("api", "route", "app", "plan", "target", "status", "code", "policy", "state"))
)
_texts = itemgetter(*(place for place, kind in enumerate(_KINDS) if kind is str))


def _limits() -> Iterator[Any]:
    """What each value of a row may be, for the decoder to check."""
    most = {"state": _STATES - 1, "status": 999, "revision": 2**63 - 1}
    for name, kind in zip(FIELDS, _KINDS, strict=True):
        if kind is str:
            yield Annotated[str, Meta(max_length=REPAIR_TEXT)]
        elif kind is float:
            yield Annotated[float, Meta(ge=0, lt=_LATEST)]
        else:
            yield Annotated[int, Meta(ge=0, le=most.get(name, _LARGEST))]


_decode_row = msgspec.msgpack.Decoder(tuple[tuple(_limits())]).decode  # type: ignore[misc]
_decode_record = msgspec.msgpack.Decoder(TrafficRecord).decode


def decode(payload: bytes) -> Row | TrafficRecord:
    """What the spool holds as a Row; as a record if a value is not as it can be: `rows_of` repairs that.

    Raises msgspec.MsgspecError if it is neither.
    """
    try:
        return _decode_row(payload)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        return _decode_record(payload)


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
Key = TypeVar("Key")


def rows_of(found: Iterable[Row | TrafficRecord]) -> tuple[list[Row], int]:
    """What was decoded, safe to store and to add up; and how much had to be repaired for that.

    A worker writes no such record, but one with an impossible number must not stop all the others.
    """
    rows = [*found]
    repaired = 0
    for place, row in enumerate(rows):
        if isinstance(row, TrafficRecord):
            values = astuple(row)
            fixed = rows[place] = _repair(values)
            repaired += fixed != values
    safe = cast(list[Row], rows)
    texts = map("".join, map(_texts, safe))
    for place in [place for place, text in enumerate(texts) if "\0" in text]:
        safe[place] = _repair(safe[place])
        repaired += 1
    return safe, repaired


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
    window: dict[Dimensions, Tally] = {}
    current = -1
    known, buckets = len(BUCKETS), BUCKETS
    for row in rows:
        time, duration, upstream, bytes_in, bytes_out, observed = _numbers(row)
        minute = int(time) // MINUTE
        if minute != current:
            current = minute
            window = minutes.setdefault(minute * MINUTE, {})
        dimensions = _dimensions(row)
        found = window.get(dimensions)
        if found is None:
            found = window[dimensions] = Tally()
        found.count += 1
        found.bytes_in += bytes_in
        found.bytes_out += bytes_out
        found.duration_sum += duration
        histogram = found.duration
        number = buckets[duration] if duration < known else bucket(duration)
        histogram[number] = histogram.get(number, 0) + 1
        if upstream:
            found.upstream_sum += upstream
            histogram = found.upstream
            number = buckets[upstream] if upstream < known else bucket(upstream)
            histogram[number] = histogram.get(number, 0) + 1
        if observed:
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
        grains[grain.number] = {values: sum_of(tallies) for values, tallies in gathered.items()}
    return {
        (number, values): found for number, tallies in grains.items() for values, found in tallies.items()
    }


def widened(windows: dict[int, dict[Key, Tally]], step: int) -> dict[int, dict[Key, Tally]]:
    """The same by longer windows of `step` seconds."""
    together: dict[int, list[dict[Key, Tally]]] = {}
    for start, window in windows.items():
        together.setdefault(start // step * step, []).append(window)
    return {start: _joined(parts) for start, parts in together.items()}


def _joined(windows: list[dict[Key, Tally]]) -> dict[Key, Tally]:
    if len(windows) == 1:
        return windows[0]
    gathered: dict[Key, list[Tally]] = {}
    for window in windows:
        for key, found in window.items():
            gathered.setdefault(key, []).append(found)
    return {key: sum_of(tallies) for key, tallies in gathered.items()}


def sum_of(tallies: list[Tally]) -> Tally:
    """One tally for all of them; it is that of the list if there is no other."""
    if len(tallies) == 1:
        return tallies[0]
    total = Tally()
    for found in tallies:
        total.merge(found)
    return total


def all_steps(
    minutes: dict[int, dict[Key, Tally]],
) -> Iterator[tuple[int, dict[int, dict[Key, Tally]]]]:
    """Window length and tallies: by minute, hour and day. What they are kept by does not matter."""
    windows = minutes
    for step in STEPS:
        windows = widened(windows, step) if step > MINUTE else windows
        yield step, windows
