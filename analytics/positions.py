"""Which segments are to be read and from where; and the end of those that are done with.

The order of steps makes this safe at any crash and beside other readers: a row is there before its file is
opened, the file goes before the row, and a row is only ever moved on from the offset, and in the
incarnation (`id`), in which its reader found it.
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from analytics.models import Position, QuarantinedSegment
from proxy.telemetry.spool import OPEN, SEALED, Segment, segments

ORPHAN_AGE = datetime.timedelta(hours=1)
"""A row without a file is deleted when it is that old; see `remove_orphans`."""
QUARANTINE = "quarantine"
Step = Callable[[str], None]


class Claim(NamedTuple):
    """A segment, and how far it has been counted; `aside` if it is finished because it is corrupt."""

    segment: Segment
    position: int
    offset: int
    finished: bool
    aside: bool
    since: datetime.datetime


def spool_id(folder: Path) -> str:
    """A name for this spool folder, made on first use: nodes share the table of positions."""
    path = folder / "spool-id"
    if not path.exists():
        draft = folder / f"spool-id.{secrets.token_hex(8)}"
        draft.write_text(secrets.token_hex(16), encoding="ascii")
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another process was faster
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()[:64]


def claim(folder: Path, step: Step) -> list[Claim]:
    """Every segment in the folder with its position, oldest first; new ones get theirs."""
    found: dict[str, Segment] = {}
    for segment in segments(folder):  # one that was sealed during the listing may be in it twice
        if segment.name not in found or segment.sealed:
            found[segment.name] = segment
    step("listed")
    known = _positions(found)
    new = [name for name in found if name not in known]
    if new:
        _add(new, spool_id(folder))
        step("claimed")
        known.update(_positions(new))
    finished = [row.name for row in known.values() if row.finished]
    aside = set(_quarantined(finished)) if finished else set()
    pairs = ((segment, known[name]) for name, segment in found.items() if name in known)
    return [
        Claim(segment, row.pk, row.offset, row.finished, row.name in aside, row.updated_at)
        for segment, row in sorted(pairs, key=lambda pair: pair[0])
    ]


def _positions(names: dict[str, Segment] | list[str]) -> dict[str, Position]:
    return {row.name: row for row in Position.objects.filter(name__in=list(names))}


def _add(names: list[str], spool: str) -> None:
    quarantined = _quarantined(names)
    rows = [Position(name=name, spool=spool, offset=quarantined.get(name, 0)) for name in names]
    Position.objects.bulk_create(rows, ignore_conflicts=True)


def _quarantined(names: list[str]) -> dict[str, int]:
    return dict(QuarantinedSegment.objects.filter(name__in=names).values_list("name", "offset"))


def finish(claimed: Claim, grace: float, step: Step) -> bool:
    """Delete a finished segment whose grace is over, or move it aside, then its row. False if it stays."""
    segment = claimed.segment
    if claimed.aside:
        _move_aside(segment.path)
    elif timezone.now() - claimed.since < datetime.timedelta(seconds=grace) or not _made_durable():
        return False
    else:
        segment.path.unlink(missing_ok=True)
    step("file gone")
    Position.objects.filter(pk=claimed.position).delete()
    step("row gone")
    return True


def _made_durable() -> bool:
    """SQLite in WAL mode with synchronous=NORMAL may lose its last commits in a power cut, till it syncs."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return True
    with connection.cursor() as cursor:
        return checkpointed(cursor)


def checkpointed(cursor: Any) -> bool:
    """Write all commits so far to SQLite's disk. False if one who reads, or does the same, is in the way."""
    cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
    busy, written, copied = cursor.fetchone()
    return not busy and written == copied


def _move_aside(path: Path) -> None:
    folder = path.parent / QUARANTINE
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        path.rename(folder / path.name)
    except FileNotFoundError:
        pass  # it was moved before the process died, or by another one


def remove_orphans(folder: Path) -> int:
    """Delete the rows of this spool whose file is gone: a process died between the two. Returns how many.

    Only old ones, so that a reader whose listing is of just now loses nothing, and so that a folder that
    was cloned to another machine, with its id, does not take away the rows of the original.
    """
    old = Position.objects.filter(spool=spool_id(folder), updated_at__lt=timezone.now() - ORPHAN_AGE)
    gone = [row.pk for row in old if not _exists(folder, row.name)]
    return Position.objects.filter(pk__in=gone).delete()[0] if gone else 0


def _exists(folder: Path, name: str) -> bool:
    # In this order: an open one may be sealed between the two looks.
    return (folder / (name + OPEN)).exists() or (folder / (name + SEALED)).exists()
