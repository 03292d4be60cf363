"""How much is kept and how much is done at once: the settings of `docs/analytics.md`."""

from __future__ import annotations

from typing import Literal

from django.conf import settings

Name = Literal[
    "RAW_ROWS",
    "RAW_DAYS",
    "MINUTE_DAYS",
    "HOUR_DAYS",
    "DAY_DAYS",
    "INGEST_BATCH",
    "SPOOL_GRACE_SECONDS",
    "SERIES",
]
"""Ages in days; RAW_ROWS rows of the traffic log; INGEST_BATCH records in one transaction;
SPOOL_GRACE_SECONDS for which a segment stays after it was counted; SERIES of each grain."""


def limit(name: Name) -> int:
    """The value of `TIDEGATE_NAME` that holds now."""
    return int(getattr(settings, f"TIDEGATE_{name}"))
