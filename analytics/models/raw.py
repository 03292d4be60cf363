"""The traffic log: every single request, for a bounded time."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

FAILED = Q(status__lt=200) | Q(status__gte=400)
"""Few of all requests. A question about some of them says so in these words: then the index is found."""


class RawRecord(models.Model):
    """A TrafficRecord as the spool held it: same fields, same units, in the same order.

    Pages go through it newest first by `(time, id)`. An index costs each record up to a tenth of its
    ingestion, so there are only those for what would take too long without: a Route, an App, a request id, and
    failures. By anything else the log is gone through, which is under a microsecond for each record.
    """

    time = models.FloatField()
    duration_us = models.BigIntegerField()
    request_id = models.TextField(db_index=True)
    trace_id = models.TextField()
    method = models.TextField()
    host = models.TextField()
    path = models.TextField()
    user_agent = models.TextField()
    api = models.TextField()
    route = models.TextField()
    revision = models.BigIntegerField()
    app = models.TextField()
    credential = models.TextField()
    state = models.SmallIntegerField()
    status = models.SmallIntegerField()
    client_ip = models.TextField()
    plan = models.TextField()
    target = models.TextField()
    upstream_us = models.BigIntegerField()
    bytes_in = models.BigIntegerField()
    bytes_out = models.BigIntegerField()
    tries = models.BigIntegerField()
    code = models.TextField()
    policy = models.TextField()
    rule = models.TextField()
    observed = models.TextField()
    protocol = models.TextField()

    class Meta:
        indexes = [
            models.Index(fields=["time", "id"], name="analytics_raw_time"),
            models.Index(fields=["route", "time"], name="analytics_raw_route"),
            models.Index(fields=["app", "time"], name="analytics_raw_app"),
            models.Index(fields=["time", "id", "status"], name="analytics_raw_failed", condition=FAILED),
        ]

    def __str__(self) -> str:
        return self.request_id
