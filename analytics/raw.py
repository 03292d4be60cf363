"""Bulk insertion of raw records: the values of a record are the columns of its row."""

from __future__ import annotations

from django.db import connection

from analytics.batch import FIELDS, Row
from analytics.models import RawRecord

_NAMES = ", ".join(f'"{name}"' for name in FIELDS)


def insert(rows: list[Row]) -> None:
    """Store the rows, inside the caller's transaction."""
    table = RawRecord._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f'COPY "{table}" ({_NAMES}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(FIELDS))
            cursor.executemany(f'INSERT INTO "{table}" ({_NAMES}) VALUES ({marks})', rows)  # noqa: S608 - names of ours
