"""Series in the database: found by their values, made when they are new, bounded in number."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from hashlib import blake2b
from typing import Any, cast

from analytics.batch import SeriesKey
from analytics.bulk import insert_many, select_by_text
from analytics.grains import GRAINS, NAMES, NUMBERS, OTHER, Dimensions
from analytics.models import Series
from analytics.models.rollup import KEY_LENGTH, NAME_LENGTH, TARGET_LENGTH

SERIES_PER_GRAIN = 100_000
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
        ids = dict(zip(keys, map(known.get, keys), strict=True))
        unknown = [key for key, number in ids.items() if number is None]
        missing = [key for key in unknown if key not in fresh]
        if missing:
            self._find(missing)
        ids.update((key, fresh[key]) for key in unknown)
        return cast(dict[SeriesKey, int], ids)

    @property
    def overflowing(self) -> Set[SeriesKey]:
        """The keys that found no room in this transaction."""
        return self._other

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
    return {row[0]: row[1] for row in select_by_text(Series._meta.db_table, '"key", id', "key", digests)}
