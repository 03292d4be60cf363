"""A lease on a task, in the database: two beats, or many nodes, run it once."""

from __future__ import annotations

from django.db import models


class TaskLock(models.Model):
    """Whoever moves `until` (Unix seconds) into the future may run the task till then."""

    name = models.CharField(max_length=64, primary_key=True)
    holder = models.CharField(max_length=32)
    until = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return self.name
