"""The columns of the traffic log, as data: what each shows, and what it can be filtered by."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.utils.safestring import SafeString

from analytics.models import RawRecord
from analytics.questions import state_name
from consoles.admin.traffic_asked import LABELS, Asked
from consoles.ui.cells import Badge, Moment, render
from consoles.ui.charts import duration

MINUTE = 60


def status_badge(row: RawRecord) -> Badge:
    """The status, in words where there is none."""
    if not row.status:
        return Badge("no answer", "secondary")
    colours: dict[int, Any] = {2: "green", 3: "blue", 4: "yellow", 5: "red"}
    return Badge(str(row.status), colours.get(row.status // 100, "secondary"))


def moment(row: RawRecord) -> Moment:
    """When it arrived."""
    return Moment(datetime.datetime.fromtimestamp(row.time, datetime.UTC))


@dataclass(frozen=True)
class LogColumn:
    """One column. `field` is the filter of the address that its values can be asked for or left out by."""

    name: str
    label: str
    value: Callable[[RawRecord], Any]
    field: str = ""
    wide: bool = False
    number: bool = False
    extra: bool = False


def _field(name: str, label: str, *, extra: bool = True, wide: bool = True) -> LogColumn:
    return LogColumn(name, label, lambda row: getattr(row, name), name, wide=wide, extra=extra)


COLUMNS = (
    LogColumn("time", "Time", moment),
    LogColumn("status", "Status", status_badge, "status"),
    LogColumn("request", "Request", lambda row: row.path, "text"),
    _field("api", "Api"),
    _field("route", "Route", extra=False),
    _field("app", "App", extra=False),
    LogColumn("took", "Took", lambda row: duration(row.duration_us), number=True),
    _field("code", "Why", extra=False),
    _field("policy", "Policy"),
    _field("target", "Target"),
    _field("client_ip", "Caller"),
    _field("plan", "Plan"),
    _field("host", "Host"),
    LogColumn("state", "Ended", lambda row: state_name(row.state).replace("_", " "), wide=True, extra=True),
    LogColumn(
        "upstream",
        "Upstream took",
        lambda row: duration(row.upstream_us) if row.target else None,
        wide=True,
        number=True,
        extra=True,
    ),
    LogColumn("bytes", "Bytes out", lambda row: row.bytes_out, wide=True, number=True, extra=True),
    LogColumn("agent", "User agent", lambda row: row.user_agent, wide=True, extra=True),
)
NAMES = tuple(column.name for column in COLUMNS)
USUAL = tuple(column.name for column in COLUMNS if not column.extra)


class Cell(NamedTuple):
    """What is shown, and the addresses that ask for only this or leave it out."""

    column: LogColumn
    html: SafeString
    text: str
    only: str
    without: str


def columns_of(asked: Asked) -> list[LogColumn]:
    """Those that are shown."""
    return [column for column in COLUMNS if column.name in (asked.columns or USUAL)]


def cell_of(column: LogColumn, row: RawRecord, asked: Asked) -> Cell:
    """One cell of the table."""
    value = column.value(row)
    text = str(getattr(value, "text", value))
    only, without = _addresses(column, row, asked)
    return Cell(
        column,
        render(value),
        f"{LABELS.get(column.field, column.label)} {text}" if only else "",
        only,
        without,
    )


def _addresses(column: LogColumn, row: RawRecord, asked: Asked) -> tuple[str, str]:
    if column.name == "time":
        start = int(row.time) // MINUTE * MINUTE
        return asked.only(start=str(start), end=str(start + MINUTE)), ""
    if column.name == "took":
        milliseconds = str(row.duration_us // 1000)
        return asked.only(longer_than=milliseconds), ""
    value = row.path if column.field == "text" else getattr(row, column.field, "")
    if not column.field or value == "":
        return "", ""
    return asked.only(**{column.field: str(value)}), asked.leaving_out(column.field, str(value))
