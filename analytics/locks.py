"""Leases on tasks, so that what two beats or several nodes start runs once."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from analytics.models import TaskLock


@contextmanager
def lease(name: str, seconds: float) -> Iterator[bool]:
    """Whether the task is ours to run now, for `seconds` at most; given back at the end.

    The lease of a killed process runs out by itself. One that outlives its lease may meet the next run, so
    tasks must bear that; the lease only saves the work.
    """
    holder, now = secrets.token_hex(16), time.time()
    free = TaskLock.objects.filter(name=name, until__lt=now)
    taken = free.update(holder=holder, until=now + seconds)
    if not taken:
        TaskLock.objects.bulk_create([TaskLock(name=name, holder="", until=0.0)], ignore_conflicts=True)
        taken = free.update(holder=holder, until=now + seconds)
    try:
        yield bool(taken)
    finally:
        if taken:
            TaskLock.objects.filter(name=name, holder=holder).update(until=0.0)
