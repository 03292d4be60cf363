"""Adds tallies to the rollups in the database. All of it inside the caller's transaction.

Counts are added by the database; histograms are read, merged and written back, which is why the caller
holds the lock of IngestTotals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from analytics.batch import DAY, HOUR, MINUTE, Tally, Windows
from analytics.bulk import insert_many, select_by_pairs
from analytics.grains import DETAIL
from analytics.histogram import Histogram
from analytics.models import DayRollup, HourRollup, MinuteRollup, Rollup
from analytics.series import Catalogue

TABLES: dict[int, type[Rollup]] = {MINUTE: MinuteRollup, HOUR: HourRollup, DAY: DayRollup}
COLUMNS = (
    "series_id",
    "start",
    "count",
    "bytes_in",
    "bytes_out",
    "observed",
    "duration_sum",
    "upstream_sum",
    "duration",
    "upstream",
)
_SUMMED = COLUMNS[2:8]
_TYPES = [*["bigint"] * 8, *["bytea"] * 2]


def add(step: int, windows: Windows, catalogue: Catalogue) -> int:
    """Add the tallies of windows of `step` seconds; returns how many requests found no series of their own."""
    ids = catalogue.resolve(list({key for window in windows.values() for key in window}))
    overflow = 0
    merged: dict[tuple[int, int], Tally] = {}
    for start, window in windows.items():
        for key, found in window.items():
            if key[0] == DETAIL.number and catalogue.overflowed(key):
                overflow += found.count
            place = ids[key], start
            before = merged.get(place)
            merged[place] = found if before is None else _plus(before, found)
    table = TABLES[step]._meta.db_table
    add_rows(table, list(_stored(table, merged)))
    return overflow


def _plus(one: Tally, other: Tally) -> Tally:
    total = Tally()
    total.merge(one)
    total.merge(other)
    return total


def _stored(table: str, tallies: dict[tuple[int, int], Tally]) -> Iterator[tuple[Any, ...]]:
    """The rows to write: counts to be added, histograms that are merged with what is there."""
    columns = "series_id, start, duration, upstream"
    rows = select_by_pairs(table, columns, ("series_id", "start"), list(tallies))
    there = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    for place, found in sorted(tallies.items()):
        stored = there.get(place)
        yield (
            *place,
            found.count,
            found.bytes_in,
            found.bytes_out,
            found.observed,
            found.duration_sum,
            found.upstream_sum,
            *(
                found.encoded()
                if stored is None
                else (_merged(stored[0], found.duration), _merged(stored[1], found.upstream))
            ),
        )


def _merged(stored: bytes | memoryview, new: Histogram) -> bytes:
    histogram = Histogram.decode(stored)
    histogram.merge(new)
    return histogram.encode()


def add_rows(table: str, rows: list[tuple[Any, ...]]) -> None:
    """Write rollups: counts are added to those there are, histograms replace them."""
    added = [f'"{name}" = "{table}"."{name}" + excluded."{name}"' for name in _SUMMED]
    replaced = [f'"{name}" = excluded."{name}"' for name in ("duration", "upstream")]
    conflict = f"ON CONFLICT (series_id, start) DO UPDATE SET {', '.join(added + replaced)}"
    insert_many(table, COLUMNS, _TYPES, rows, conflict)
