"""Adds tallies to the rollups in the database. All of it inside the caller's transaction.

Counts are added by the database; histograms are read, merged and written back, which is why the caller
holds the lock of IngestTotals.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from analytics.batch import DAY, HOUR, MINUTE, SeriesKey, Tally, Window, Windows, sum_of
from analytics.bulk import insert_many, select_by_pairs
from analytics.grains import DETAIL
from analytics.histogram import merged
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
Cells = dict[int, dict[int, Tally]]
"""Tallies by the start of their window and the id of their series."""
_SUMMED = COLUMNS[2:8]
_TYPES = [*["bigint"] * 8, *["bytea"] * 2]


def add(step: int, windows: Windows, catalogue: Catalogue) -> int:
    """Add the tallies of windows of `step` seconds; returns how many requests found no series of their own."""
    cells, overflow = identified(windows, catalogue)
    write(step, cells)
    return overflow


def identified(windows: Windows, catalogue: Catalogue) -> tuple[Cells, int]:
    """The same by the ids of the series, and how many requests found no series of their own."""
    ids = catalogue.resolve(list(dict.fromkeys(chain.from_iterable(windows.values()))))
    cells: Cells = {}
    overflow = 0
    for start, window in windows.items():
        cells[start] = cell = {ids[key]: found for key, found in window.items()}
        if len(cell) < len(window):  # several of them are `_other`
            cells[start] = _together(ids, window)
        lost = window.keys() & catalogue.overflowing
        overflow += sum(window[key].count for key in lost if key[0] == DETAIL.number)
    return cells, overflow


def _together(ids: dict[SeriesKey, int], window: Window) -> dict[int, Tally]:
    gathered: dict[int, list[Tally]] = {}
    for key, found in window.items():
        gathered.setdefault(ids[key], []).append(found)
    return {series: sum_of(tallies) for series, tallies in gathered.items()}


def write(step: int, cells: Cells) -> None:
    """Add the tallies of windows of `step` seconds."""
    table = TABLES[step]._meta.db_table
    places = [(series, start) for start, window in cells.items() for series in window]
    add_rows(table, list(_stored(table, cells, sorted(places))))


def _stored(table: str, cells: Cells, places: list[tuple[int, int]]) -> Iterator[tuple[Any, ...]]:
    """The rows to write: counts to be added, histograms that are merged with what is there."""
    columns = "series_id, start, duration, upstream"
    rows = select_by_pairs(table, columns, ("series_id", "start"), places)
    there = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    for place in places:
        found = cells[place[1]][place[0]]
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
                else (merged(stored[0], found.duration), merged(stored[1], found.upstream))
            ),
        )


def add_rows(table: str, rows: list[tuple[Any, ...]]) -> None:
    """Write rollups: counts are added to those there are, histograms replace them."""
    added = [f'"{name}" = "{table}"."{name}" + excluded."{name}"' for name in _SUMMED]
    replaced = [f'"{name}" = excluded."{name}"' for name in ("duration", "upstream")]
    conflict = f"ON CONFLICT (series_id, start) DO UPDATE SET {', '.join(added + replaced)}"
    insert_many(table, COLUMNS, _TYPES, rows, conflict)
