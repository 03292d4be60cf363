"""How much is kept and how much is done at once; a setting of the same name, `TIDEGATE_` before it, wins."""

from __future__ import annotations

from django.conf import settings

DEFAULTS = {
    "RAW_DAYS": 7,
    "RAW_ROWS": 500_000,
    "MINUTE_DAYS": 3,
    "HOUR_DAYS": 93,
    "DAY_DAYS": 1100,
    "INGEST_BATCH": 30_000,
    "SPOOL_GRACE_SECONDS": 10,
    "SERIES": 100_000,
}
"""Ages in days; RAW_ROWS rows of the traffic log; INGEST_BATCH records in one transaction;
SPOOL_GRACE_SECONDS for which a segment stays after it was counted; SERIES of each grain."""


def limit(name: str) -> int:
    """The value that holds for one of `DEFAULTS`."""
    return int(getattr(settings, f"TIDEGATE_{name}", DEFAULTS[name]))
