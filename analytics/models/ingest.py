"""How far each segment of the spool has been counted, and what could not be."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Position(models.Model):
    """Everything of a segment up to `offset` is in the rollups: both change in the same transaction.

    `spool` tells the spool folders of several nodes apart. A `finished` segment is to be deleted, or moved
    aside if there is a QuarantinedSegment of its name.
    """

    name = models.CharField(max_length=255, unique=True)
    spool = models.CharField(max_length=64, db_index=True)
    offset = models.BigIntegerField(default=0)
    finished = models.BooleanField(default=False)
    updated_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.name} up to {self.offset}"


class QuarantinedSegment(models.Model):
    """A segment that cannot be read past `offset`: `lost_bytes` of `reason` lie in `spool/quarantine`.

    What came before is counted; if the file is put back, reading goes on at `offset`.
    """

    name = models.CharField(max_length=255, unique=True)
    node = models.CharField(max_length=64)
    offset = models.BigIntegerField()
    lost_bytes = models.BigIntegerField()
    reason = models.CharField(max_length=200)
    found_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-found_at", "-id"]

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class IngestTotals(models.Model):
    """The one row that counts ingestion itself. It is locked while rollups are written, so that two nodes
    that merge into the same histogram come one after the other.

    `late` counts records whose hour was over, `repaired` those with impossible numbers, `overflow` those
    counted under `_other`; `epoch` rises when series are deleted, for whoever remembers their ids.
    """

    records = models.BigIntegerField(default=0)
    batches = models.BigIntegerField(default=0)
    late = models.BigIntegerField(default=0)
    repaired = models.BigIntegerField(default=0)
    overflow = models.BigIntegerField(default=0)
    quarantined = models.BigIntegerField(default=0)
    epoch = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "ingest totals"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="analytics_totals_single")]

    def __str__(self) -> str:
        return f"{self.records} records"

    @classmethod
    def load(cls) -> IngestTotals:
        """The row as it is committed; an unsaved one of zeros before the first batch."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)

    @classmethod
    def lock(cls) -> IngestTotals:
        """The row, held until the end of the transaction."""
        row = cls.objects.select_for_update().filter(pk=1).first()
        if row is None:
            IngestTotals.objects.bulk_create([IngestTotals(pk=1)], ignore_conflicts=True)
            row = cls.objects.select_for_update().get(pk=1)
        return row
