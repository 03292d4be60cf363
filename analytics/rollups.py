"""Adds tallies to the rollups in the database. All of it inside the caller's transaction.

Counts are added by the database; histograms are read, merged and written back, which is why the caller
holds the lock of IngestTotals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from django.db import connection

from analytics.batch import DAY, HOUR, MINUTE, SeriesKey, Tally, Windows
from analytics.grains import DETAIL, GRAINS, NAMES, NUMBERS, OTHER, Dimensions
from analytics.histogram import Histogram
from analytics.models import DayRollup, HourRollup, MinuteRollup, Rollup, Series
from analytics.models.rollup import KEY_LENGTH, NAME_LENGTH, TARGET_LENGTH

TABLES: dict[int, type[Rollup]] = {MINUTE: MinuteRollup, HOUR: HourRollup, DAY: DayRollup}
SERIES_PER_GRAIN = 100_000
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
_BY_NUMBER = {grain.number: grain for grain in GRAINS}


class Catalogue:
    """Knows the ids of series, and makes new ones up to `limit` for each grain.

    Ids that a transaction has made are believed only once `commit` was called, and all are forgotten when
    the `epoch` of IngestTotals shows that series were deleted.
    """

    def __init__(self, limit: int = SERIES_PER_GRAIN, remember: int = 200_000) -> None:
        self._limit = limit
        self._remember = remember
        self._epoch = -1
        self._known: dict[SeriesKey, int] = {}
        self._fresh: dict[SeriesKey, int] = {}
        self._other: set[SeriesKey] = set()

    def begin(self, epoch: int) -> None:
        """A transaction begins, which sees this epoch."""
        self._fresh = {}
        self._other = set()
        if epoch != self._epoch or len(self._known) > self._remember:
            self._known = {}
            self._epoch = epoch

    def commit(self) -> None:
        """The transaction is committed."""
        self._known.update(item for item in self._fresh.items() if item[0] not in self._other)
        self._fresh = {}

    def resolve(self, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
        """The id of every key; of those for which there is no room, that of their grain's `_other`."""
        known, fresh = self._known, self._fresh
        missing = [key for key in keys if key not in known and key not in fresh]
        if missing:
            self._find(missing)
        return {key: known.get(key) or fresh[key] for key in keys}

    def overflowed(self, key: SeriesKey) -> bool:
        """Whether this key found no room in this transaction."""
        return key in self._other

    def _find(self, keys: list[SeriesKey]) -> None:
        rows = {key: series_row(key) for key in keys}
        found = _ids([row[0] for row in rows.values()])
        new = [key for key in keys if rows[key][0] not in found]
        if new:
            admitted = self._admit(new)
            others = {key: series_row(_other(key)) for key in new if key not in admitted}
            made = {row[0]: row for row in [*(rows[key] for key in admitted), *others.values()]}
            insert_series(list(made.values()))
            found.update(_ids(list(made)))
            self._other.update(others)
            rows.update(others)
        self._fresh.update((key, found[rows[key][0]]) for key in keys)

    def _admit(self, keys: list[SeriesKey]) -> set[SeriesKey]:
        """Those of the new keys for which their grain has room."""
        admitted: set[SeriesKey] = set()
        for number in {key[0] for key in keys}:
            room = max(0, self._limit - Series.objects.filter(grain=number).count())
            admitted.update([key for key in keys if key[0] == number][:room])
        return admitted


def _values(key: SeriesKey) -> Dimensions:
    """The values of all dimensions, the absent ones blank, cut to the length of their columns."""
    number, picked = key
    grain = _BY_NUMBER[number]
    given = dict(zip(grain.dimensions, picked, strict=True))
    values: list[Any] = []
    for name in NAMES:
        value = given.get(name, -1 if name in NUMBERS else "")
        limit = TARGET_LENGTH if name == "target" else NAME_LENGTH
        values.append(value[:limit] if isinstance(value, str) else value)
    return tuple(values)


SeriesRow = tuple[Any, ...]
"""Hash, grain, and the values of all dimensions."""


def series_row(key: SeriesKey) -> SeriesRow:
    """What is stored of a series; equal keys have equal hashes."""
    values = _values(key)
    text = json.dumps([key[0], *values]).encode()
    return blake2b(text, digest_size=KEY_LENGTH // 2).hexdigest(), key[0], *values


def insert_series(rows: list[SeriesRow]) -> None:
    """Store series; those that are there already stay as they are."""
    types = ["text", "int", *("int" if name in NUMBERS else "text" for name in NAMES)]
    insert_many(Series._meta.db_table, ("key", "grain", *NAMES), types, rows, "ON CONFLICT DO NOTHING")


def _other(key: SeriesKey) -> SeriesKey:
    return key[0], tuple(OTHER if isinstance(value, str) else value for value in key[1])


def _ids(digests: list[str]) -> dict[str, int]:
    query = f'SELECT key, id FROM "{Series._meta.db_table}" WHERE key'  # noqa: S608 - the name of a table of ours
    return dict(_select(query, digests))


def _select(query: str, values: list[Any], *more: Any) -> list[tuple[Any, ...]]:
    """Rows of `query IN (values) …`, with the values as one parameter, however many they are."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"{query} = ANY(%s)", [*more, values])
        else:
            listed = f"{query} IN (SELECT value FROM json_each(%s))"  # noqa: S608 - a query of ours
            cursor.execute(listed, [*more, json.dumps(values)])
        return list(cursor.fetchall())


def add(step: int, windows: Windows, catalogue: Catalogue) -> int:
    """Add the tallies of windows of `step` seconds; returns how many requests found no series of their own."""
    table = TABLES[step]._meta.db_table
    overflow = 0
    for start, window in sorted(windows.items()):
        ids = catalogue.resolve(list(window))
        merged: dict[int, Tally] = {}
        for key, found in window.items():
            number = ids[key]
            if key[0] == DETAIL.number and catalogue.overflowed(key):
                overflow += found.count
            before = merged.get(number)
            merged[number] = found if before is None else _plus(before, found)
        add_rows(table, list(_stored(table, start, merged)))
    return overflow


def _plus(one: Tally, other: Tally) -> Tally:
    total = Tally()
    total.merge(one)
    total.merge(other)
    return total


def _stored(table: str, start: int, window: dict[int, Tally]) -> Iterator[tuple[Any, ...]]:
    """The rows to write: counts to be added, histograms that are merged with what is there."""
    query = f'SELECT series_id, duration, upstream FROM "{table}" WHERE start = %s AND series_id'  # noqa: S608 - the name of a table of ours
    there = {row[0]: row for row in _select(query, list(window), start)}
    for series, found in sorted(window.items()):
        row = there.get(series)
        yield (
            series,
            start,
            found.count,
            found.bytes_in,
            found.bytes_out,
            found.observed,
            found.duration_sum,
            found.upstream_sum,
            *(
                found.encoded()
                if row is None
                else (_merged(row[1], found.duration), _merged(row[2], found.upstream))
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


def insert_many(
    table: str, names: Sequence[str], types: Sequence[str], rows: list[tuple[Any, ...]], conflict: str
) -> None:
    """Write many rows at once: as arrays in PostgreSQL, as one prepared statement in SQLite."""
    if not rows:
        return
    columns = ", ".join(f'"{name}"' for name in names)
    start = f'INSERT INTO "{table}" ({columns})'
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            arrays = ", ".join(f"%s::{kind}[]" for kind in types)
            values = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(f"{start} SELECT * FROM unnest({arrays}) {conflict}", values)  # noqa: S608 - names of ours
        else:
            cursor.executemany(f"{start} VALUES ({', '.join(['%s'] * len(names))}) {conflict}", rows)
