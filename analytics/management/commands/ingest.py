"""`manage.py ingest`: what the Celery task does, from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.tasks import run_ingest, spool


class Command(BaseCommand):
    """Counts what is in this node's spool, once."""

    help = "Ingest this node's traffic records into the rollups, once. Safe beside the running task."
    requires_system_checks: list[str] = []  # of the code, not of its data: `make check` has them

    def add_arguments(self, parser: CommandParser) -> None:
        """None."""

    def handle(self, *_: Any, **__: Any) -> None:
        """Prints what was done."""
        report = run_ingest(spool())
        if report is None:
            raise CommandError("Another process is ingesting, or the database is not to be had.")
        self.stdout.write(
            f"{report.records} records in {report.batches} batches, {report.quarantined} segments set aside"
        )
        if report.failed:
            raise CommandError(f"Not stored: {', '.join(report.failed)}")
