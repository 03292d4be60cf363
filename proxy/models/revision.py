"""Revision: one published configuration."""

from __future__ import annotations

from django.db import models


class Revision(models.Model):
    """What was published, when, by whom and why; it never changes. The highest number is live.

    `document` is the whole configuration as JSON with its secrets, `digest` that of the compiled Snapshot
    (hex), `changes` one line for each difference to the revision before.
    """

    number = models.PositiveBigIntegerField(unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    author = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)
    document = models.TextField()
    digest = models.CharField(max_length=64)
    changes = models.JSONField(default=list)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"revision {self.number}"
