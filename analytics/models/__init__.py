"""All models of the analytics: rollups, raw records, and how far the spool has been read."""

from analytics.models.ingest import IngestTotals, Position, QuarantinedSegment
from analytics.models.lock import TaskLock
from analytics.models.raw import RawRecord
from analytics.models.rollup import DayRollup, HourRollup, MinuteRollup, Rollup, Series

__all__ = [
    "DayRollup",
    "HourRollup",
    "IngestTotals",
    "MinuteRollup",
    "Position",
    "QuarantinedSegment",
    "RawRecord",
    "Rollup",
    "Series",
    "TaskLock",
]
