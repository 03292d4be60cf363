"""Statements about thousands of rows, for SQLite and PostgreSQL. Names in them are ours, never a caller's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection

Row = tuple[Any, ...]
_SHIFT, _MASK = 32, 2**32 - 1


def select_by_text(table: str, columns: str, key: str, values: list[str]) -> list[Row]:
    """The rows whose `key` is one of the values, which are one parameter, however many they are."""
    query = f'SELECT {columns} FROM "{table}" WHERE "{key}"'  # noqa: S608 - names of ours
    if connection.vendor == "postgresql":
        return _fetch(f"{query} = ANY(%s)", [values])
    return _fetch(f"{query} IN (SELECT value FROM json_each(%s))", [json.dumps(values)])  # noqa: S608 - names of ours


def select_by_pairs(
    table: str, columns: str, keys: tuple[str, str], pairs: list[tuple[int, int]]
) -> list[Row]:
    """The rows whose two `keys` are one of the pairs of numbers: from 0 to 2**31 - 1, and to 2**32 - 1."""
    match = f't."{keys[0]}" = w.one AND t."{keys[1]}" = w.other'
    if connection.vendor == "postgresql":
        wanted = "unnest(%s::bigint[], %s::bigint[]) AS w(one, other)"
        values: list[Any] = [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
    else:
        # A pair is one number, which takes SQLite half the time that an array of two does. CROSS JOIN: it
        # then goes through the pairs, and looks each up.
        wanted = f"(SELECT value >> {_SHIFT} AS one, value & {_MASK} AS other FROM json_each(%s)) AS w"  # noqa: S608 - names of ours
        values = [json.dumps([one << _SHIFT | other for one, other in pairs])]
    return _fetch(f'SELECT {columns} FROM {wanted} CROSS JOIN "{table}" AS t WHERE {match}', values)  # noqa: S608 - names of ours


def _fetch(query: str, values: list[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


def insert_many(
    table: str, names: Sequence[str], types: Sequence[str], rows: list[Row], conflict: str
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
