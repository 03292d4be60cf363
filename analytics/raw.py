"""Bulk insertion of raw records: the values of a record are the columns of its row."""

from __future__ import annotations

from itertools import chain

from django.db import connection

from analytics.batch import FIELDS, Row
from analytics.models import RawRecord

_NAMES = ", ".join(f'"{name}"' for name in FIELDS)
_MARKS = f"({', '.join(['%s'] * len(FIELDS))})"
_TOGETHER = 16
"""Rows in one statement of SQLite, whose variables are 999 at most in old versions."""


def insert(rows: list[Row]) -> None:
    """Store the rows, inside the caller's transaction, which has to end if this raises."""
    table = RawRecord._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with (
                connection.wrap_database_errors,
                cursor.copy(f'COPY "{table}" ({_NAMES}) FROM STDIN') as copy,
            ):
                for row in rows:
                    copy.write_row(row)
            return
        # FAIL: the transaction takes back what a failing statement did; a journal of each takes as long as it.
        start = f'INSERT OR FAIL INTO "{table}" ({_NAMES}) VALUES'
        whole = len(rows) - len(rows) % _TOGETHER
        parts = [tuple(chain(*rows[place : place + _TOGETHER])) for place in range(0, whole, _TOGETHER)]
        if whole:
            cursor.executemany(f"{start} {', '.join([_MARKS] * _TOGETHER)}", parts)
        if whole < len(rows):
            cursor.executemany(f"{start} {_MARKS}", rows[whole:])
