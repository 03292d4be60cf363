"""What is deleted, and when; and which certificates expire."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, F, Max, Min, OuterRef
from django.utils import timezone

from analytics.batch import DAY, HOUR, MINUTE
from analytics.limits import Name, limit
from analytics.models import DayRollup, HourRollup, IngestTotals, MinuteRollup, RawRecord, Rollup, Series
from analytics.rollups import TABLES
from proxy.models import Certificate

CHUNK = 5_000
"""Rows deleted in one transaction, so that others get at the database in between."""
SERIES_AT_ONCE = 1_000
"""Series whose old rollups are deleted in one transaction."""
_KEPT: dict[int, Name] = {MINUTE: "MINUTE_DAYS", HOUR: "HOUR_DAYS", DAY: "DAY_DAYS"}


@dataclass(slots=True)
class Deleted:
    """How many rows went."""

    raw: int = 0
    rollups: int = 0
    series: int = 0


def clean(seconds: float = 30.0, now: float | None = None) -> Deleted:
    """Delete what is too old or too much; stops after `seconds`, the next run goes on."""
    at, end = (time.time() if now is None else now), time.monotonic() + seconds
    deleted = Deleted(raw=trim_raw(seconds, at))
    for step, table in TABLES.items():
        deleted.rollups += _delete_rollups(table, at - limit(_KEPT[step]) * DAY - step, end)
    if time.monotonic() < end:
        deleted.series = delete_unused_series()
    return deleted


def trim_raw(seconds: float = 5.0, now: float | None = None) -> int:
    """Delete raw records beyond the number and the age that are kept, the oldest first."""
    at, end = (time.time() if now is None else now), time.monotonic() + seconds
    deleted = 0
    while time.monotonic() < end:
        ids = RawRecord.objects.aggregate(low=Min("id"), high=Max("id"))
        surplus = 0 if ids["low"] is None else ids["high"] - ids["low"] + 1 - limit("RAW_ROWS")
        if surplus <= 0:
            break
        # Ids have few gaps, and gaps only make it look like more than there is: count before deleting.
        surplus = min(surplus, RawRecord.objects.count() - limit("RAW_ROWS"))
        if surplus <= 0:
            break
        deleted += _delete_oldest(min(surplus, CHUNK))
    while time.monotonic() < end:
        old = RawRecord.objects.filter(time__lt=at - limit("RAW_DAYS") * DAY)
        ids_of_old = list(old.order_by("time").values_list("id", flat=True)[:CHUNK])
        if not ids_of_old:
            break
        deleted += RawRecord.objects.filter(pk__in=ids_of_old)._raw_delete("default")
    return deleted


def _delete_oldest(number: int) -> int:
    last = RawRecord.objects.order_by("id").values_list("id", flat=True)[number - 1]
    return int(RawRecord.objects.filter(pk__lte=last)._raw_delete("default"))


def _delete_rollups(table: type[Rollup], before: float, end: float) -> int:
    """By series, as the rows lie: an index by time alone would make every ingestion dearer."""
    deleted, done = 0, 0
    while time.monotonic() < end:
        ids = list(
            Series.objects.filter(pk__gt=done).order_by("pk").values_list("pk", flat=True)[:SERIES_AT_ONCE]
        )
        if not ids:
            break
        series = Series.objects.filter(pk__gt=done, pk__lte=ids[-1])
        old = table._default_manager.filter(series__in=series.values("pk"), start__lt=before)
        deleted += old._raw_delete("default")
        done = ids[-1]
    return deleted


def delete_unused_series() -> int:
    """Delete series without any rollup; whoever remembers ids of series is told by the epoch."""
    with transaction.atomic():
        IngestTotals.lock()
        used = [
            Exists(table.objects.filter(series=OuterRef("pk")))
            for table in (DayRollup, HourRollup, MinuteRollup)
        ]
        unused = Series.objects.exclude(used[0]).exclude(used[1]).exclude(used[2])
        ids = list(unused.values_list("pk", flat=True)[:CHUNK])
        if ids:
            Series.objects.filter(pk__in=ids).delete()
            IngestTotals.objects.filter(pk=1).update(epoch=F("epoch") + 1)
    return len(ids)


@dataclass(frozen=True, slots=True)
class Expiring:
    """A certificate that expires within the time asked for, or has; `days` is negative then."""

    name: str
    expires_at: datetime.datetime
    days: int


def expiring_certificates(within_days: int = 30, now: datetime.datetime | None = None) -> list[Expiring]:
    """The certificates that alerts are to warn of, the most urgent first."""
    at = now or timezone.now()
    rows = Certificate.objects.filter(expires_at__lte=at + datetime.timedelta(days=within_days))
    found: list[Expiring] = []
    for name, expires_at in rows.order_by("expires_at").values_list("name", "expires_at"):
        if expires_at is not None:
            found.append(Expiring(name, expires_at, (expires_at - at).days))
    return found
