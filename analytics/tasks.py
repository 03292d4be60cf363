"""The Celery tasks: thin, so that everything can be run and tested without Celery.

Each bounds its own time, because the solo pool cannot: it runs one task after the other in one process.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from analytics import retention
from analytics.ingest import Ingester, Report
from analytics.locks import lease
from analytics.positions import remove_orphans
from proxy.node import NodeDir

logger = logging.getLogger(__name__)

INGEST_SECONDS = 3.0
CLEAN_SECONDS = 20.0
LEASE_SECONDS = 120.0


def spool() -> Path:
    """The spool of this node."""
    return NodeDir(Path(settings.TIDEGATE_DATA) / "node").spool


@lru_cache(maxsize=4)
def ingester(folder: Path) -> Ingester:
    """The one of this process, which remembers what it knows."""
    return Ingester(folder)


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other process of this node is ingesting. The kernel gives the lock back if we are killed.

    It saves work; that nothing is counted twice does not hang on it.
    """
    descriptor = os.open(folder / "ingest.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


@shared_task(name="analytics.ingest", ignore_result=True)  # type: ignore[untyped-decorator]
def ingest() -> None:
    """This node's spool into the rollups; every second."""
    run_ingest(spool())


def run_ingest(folder: Path) -> Report | None:
    """One run; None if another process is at it, or the database is away: the spool waits for it."""
    close_old_connections()
    with alone(folder) as ours:
        if not ours:
            return None
        try:
            report = ingester(folder).run(INGEST_SECONDS)
            if report.records:
                retention.trim_raw()
        except (OperationalError, InterfaceError) as error:
            logger.warning("Traffic records wait in the spool: %s", str(error).strip())
            return None
        return report


@shared_task(name="analytics.clean", ignore_result=True)  # type: ignore[untyped-decorator]
def clean() -> None:
    """Retention, and what killed processes left behind; every hour."""
    close_old_connections()
    remove_orphans(spool())
    with lease("clean", LEASE_SECONDS) as ours:
        if ours:
            deleted = retention.clean(CLEAN_SECONDS)
            logger.info("Deleted %s", deleted)


@shared_task(name="analytics.certificates", ignore_result=True)  # type: ignore[untyped-decorator]
def certificates() -> None:
    """Say which certificates expire; once a day."""
    close_old_connections()
    with lease("certificates", LEASE_SECONDS) as ours:
        for found in retention.expiring_certificates() if ours else ():
            logger.warning("The certificate %s expires in %d days.", found.name, found.days)
