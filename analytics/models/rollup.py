"""Series and their rollups: what the traffic was, per minute, hour and day."""

from __future__ import annotations

from django.db import models

NAME_LENGTH, TARGET_LENGTH, KEY_LENGTH = 100, 300, 32


class Series(models.Model):
    """The values of the dimensions that requests had in common.

    `grain` says which dimensions tell its series apart (`analytics.grains`); the others are empty, or -1.
    `key` is a hash of all of it.
    """

    key = models.CharField(max_length=KEY_LENGTH, unique=True)
    grain = models.PositiveSmallIntegerField()
    api = models.CharField(max_length=NAME_LENGTH)
    route = models.CharField(max_length=NAME_LENGTH)
    app = models.CharField(max_length=NAME_LENGTH)
    plan = models.CharField(max_length=NAME_LENGTH)
    target = models.CharField(max_length=TARGET_LENGTH)
    status = models.SmallIntegerField()
    code = models.CharField(max_length=NAME_LENGTH)
    policy = models.CharField(max_length=NAME_LENGTH)
    state = models.SmallIntegerField()

    class Meta:
        verbose_name_plural = "series"
        indexes = [
            models.Index(fields=["grain"], name="analytics_series_grain"),
            models.Index(fields=["api", "grain"], name="analytics_series_api"),
            models.Index(fields=["route", "grain"], name="analytics_series_route"),
            models.Index(fields=["app", "grain"], name="analytics_series_app"),
        ]

    def __str__(self) -> str:
        return f"series {self.pk} of grain {self.grain}"


class Rollup(models.Model):
    """One series in one window that begins at `start` (Unix seconds).

    Bytes are body bytes, sums are microseconds, `observed` counts requests that a policy in observe mode
    would have refused. `duration` and `upstream` are encoded Histograms in microseconds; only requests that
    an upstream answered are in `upstream`.
    """

    pk = models.CompositePrimaryKey("series_id", "start")
    # The ingesting transaction makes the series itself; checking each row again would cost as much as it.
    series = models.ForeignKey(
        Series, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    start = models.BigIntegerField()
    count = models.BigIntegerField()
    bytes_in = models.BigIntegerField()
    bytes_out = models.BigIntegerField()
    observed = models.BigIntegerField()
    duration_sum = models.BigIntegerField()
    upstream_sum = models.BigIntegerField()
    duration = models.BinaryField()
    upstream = models.BinaryField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.count} requests of series {self.series_id} from {self.start}"


class MinuteRollup(Rollup):
    """A series in a minute."""


class HourRollup(Rollup):
    """A series in an hour."""


class DayRollup(Rollup):
    """A series in a day (UTC)."""
