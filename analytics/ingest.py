"""Spool to rollups, exactly once.

A batch is read and added up first; then one short transaction moves the positions of its segments on and
adds what was read to the rollups. If a position is not where the batch began, another process was faster
and the batch is thrown away. So nothing needs a lock for correctness: crash, repeat it, run it twice at once.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from analytics import raw, rollups
from analytics.batch import HOUR, MINUTE, Row, Windows, all_steps, decode, grained, rows_of, tally
from analytics.limits import limit
from analytics.models import IngestTotals, Position, QuarantinedSegment
from analytics.positions import Claim, Step, claim, finish
from analytics.series import Catalogue
from proxy.telemetry.record import TrafficRecord
from proxy.telemetry.spool import SegmentCorrupt, read_blocks, seal_abandoned

logger = logging.getLogger(__name__)

BREATHER = 0.01
"""Seconds between two batches in which others get at the database: SQLite has one writer."""


class Overtaken(Exception):
    """Another process has counted some of this batch: it is not to be counted again."""


@dataclass(slots=True)
class Chunk:
    """What was read of one segment: up to `end`, from the offset of the claim."""

    claim: Claim
    end: int
    records: list[Row | TrafficRecord]
    finished: bool = False
    corrupt: str = ""

    @property
    def news(self) -> bool:
        """Whether there is anything to store."""
        return bool(self.records) or self.finished


@dataclass(slots=True)
class Report:
    """What a run did. `failed` names the segments that the database did not take."""

    records: int = 0
    batches: int = 0
    overtaken: int = 0
    quarantined: int = 0
    removed: int = 0
    failed: list[str] = field(default_factory=list)


class Ingester:
    """Reads one node's spool. Keep it: it remembers the ids of series between runs.

    `step` is called with a name at every point between two effects; tests kill the process there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch: int | None = None,
        grace: float | None = None,
        keep_raw: bool | None = None,
        step: Step = lambda name: None,
    ) -> None:
        self._folder = folder
        self._batch = batch or limit("INGEST_BATCH")
        self._grace = limit("SPOOL_GRACE_SECONDS") if grace is None else grace
        self._keep_raw = limit("RAW_ROWS") > 0 if keep_raw is None else keep_raw
        self._step = step
        self._catalogue = Catalogue(limit("SERIES"))

    def run(self, seconds: float = 5.0) -> Report:
        """Count everything that is there, or as much as can be begun within `seconds`.

        Raises OperationalError or InterfaceError if the database is not to be had; nothing is lost then.
        """
        _prepare_connection()
        report = Report()
        # A batch is a hundred thousand objects without a cycle: looking for some takes a seventh of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._run(time.monotonic() + seconds, report)
        finally:
            if collecting:
                gc.enable()
        return report

    def _run(self, end: float, report: Report) -> None:
        while True:
            chunks = list(self._read(report))
            if not any(chunk.news for chunk in chunks):
                break
            before = report.batches
            self._store(chunks, report)
            if report.batches == before or time.monotonic() > end:
                break
            time.sleep(BREATHER)

    def _read(self, report: Report) -> Iterator[Chunk]:
        """Up to a batch of records out of all segments, oldest first."""
        room = self._batch
        for claimed in claim(self._folder, self._step):
            if claimed.finished:
                report.removed += finish(claimed, self._grace, self._step)
            elif room > 0 and claimed.segment.name not in report.failed:
                chunk = self._chunk(claimed, room)
                room -= len(chunk.records)
                yield chunk
        self._step("read")

    def _chunk(self, claimed: Claim, room: int) -> Chunk:
        segment, offset = claimed.segment, claimed.offset
        chunk = Chunk(claimed, offset, [])
        try:
            for block in read_blocks(segment.path, offset, decode, room):
                chunk.end = block.ends[-1]
                chunk.records += block.records
            chunk.finished = segment.sealed and len(chunk.records) < room
        except SegmentCorrupt as error:
            # An open one is left to its writer, who may go on past the end of what can be read, till it is sealed.
            chunk.finished = segment.sealed
            chunk.corrupt = error.reason
        except FileNotFoundError:
            pass  # another process was faster
        except OSError as error:
            logger.warning("%s cannot be read: %s", segment.name, error.strerror)
        if not segment.sealed and not chunk.records:
            self._seal_if_abandoned(segment.name)
        return chunk

    def _seal_if_abandoned(self, name: str) -> None:
        """The worker of this slot may have died and never come back."""
        try:
            seal_abandoned(self._folder, name)
        except OSError as error:
            logger.warning("%s cannot be sealed: %s", name, error.strerror)

    def _store(self, chunks: list[Chunk], report: Report) -> None:
        chunks = [chunk for chunk in chunks if chunk.news]
        try:
            self._commit(chunks, report)
        except Overtaken:
            report.overtaken += 1
        except (OperationalError, InterfaceError):
            raise
        except (DatabaseError, ValueError, OverflowError):
            if len(chunks) > 1:  # one of them is to blame, and must not stop the others
                for chunk in chunks:
                    self._store([chunk], report)
                return
            name = chunks[0].claim.segment.name
            logger.exception("Segment %s cannot be stored; it stays where it is.", name)
            report.failed.append(name)

    def _commit(self, chunks: list[Chunk], report: Report) -> None:
        rows, repaired = rows_of(record for chunk in chunks for record in chunk.records)
        minutes = grained(tally(rows))
        corrupt = [chunk for chunk in chunks if chunk.finished and chunk.corrupt]
        self._step("added up")
        with transaction.atomic():
            self._step("begun")
            for chunk in sorted(chunks, key=lambda chunk: chunk.claim.position):
                _advance(chunk)
            self._step("advanced")
            if self._keep_raw:
                raw.insert(rows)
            self._step("raw stored")
            self._add(rows, minutes, repaired, corrupt)
            self._step("about to commit")
        self._catalogue.commit()
        report.records += len(rows)
        report.batches += 1
        report.quarantined += len(corrupt)
        self._step("committed")

    def _add(self, rows: list[Row], minutes: Windows, repaired: int, corrupt: list[Chunk]) -> None:
        self._catalogue.begin(IngestTotals.lock().epoch)
        cells, overflow = rollups.identified(minutes, self._catalogue)
        for step, windows in all_steps(cells):
            rollups.write(step, windows)
            self._step(f"rollups of {step} s")
        for chunk in corrupt:
            _quarantine(chunk)
        this_hour = time.time() // HOUR * HOUR
        IngestTotals.objects.filter(pk=1).update(
            records=F("records") + len(rows),
            batches=F("batches") + 1,
            late=F("late") + sum(row[0] < this_hour - MINUTE for row in rows),
            repaired=F("repaired") + repaired,
            overflow=F("overflow") + overflow,
            quarantined=F("quarantined") + len(corrupt),
            updated_at=timezone.now(),
        )


def _prepare_connection() -> None:
    """Room for the pages of the indexes: SQLite's default of 2 MiB makes a batch twice as slow."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size = -16384")
            cursor.execute("PRAGMA wal_autocheckpoint = 4000")


def _advance(chunk: Chunk) -> None:
    """Move the position on from where the chunk began. Raises Overtaken if it is not there any more."""
    claimed = chunk.claim
    rows = Position.objects.filter(pk=claimed.position, offset=claimed.offset, finished=False)
    if not rows.update(offset=chunk.end, finished=chunk.finished, updated_at=timezone.now()):
        raise Overtaken(claimed.segment.name)


def _quarantine(chunk: Chunk) -> None:
    segment = chunk.claim.segment
    logger.error("Segment %s is set aside: %s at byte %d.", segment.name, chunk.corrupt, chunk.end)
    QuarantinedSegment.objects.update_or_create(
        name=segment.name,
        defaults={
            "node": segment.node[:64],
            "offset": chunk.end,
            "lost_bytes": max(0, segment.size - chunk.end),
            "reason": chunk.corrupt[:200],
        },
    )
