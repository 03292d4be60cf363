"""The traffic log: single requests, newest first, page by page."""

from __future__ import annotations

from typing import Literal

import msgspec
from django.db.models import Q, QuerySet

from analytics.models import RawRecord
from analytics.models.raw import FAILED
from analytics.questions import Scope, StatusClass, class_condition, storable

PAGE = 50
MAX_PAGE = 500
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
_FAILED_CLASSES: tuple[StatusClass, ...] = ("none", "1xx", "4xx", "5xx")
State = Literal[0, 1, 2, 3, 4, 5, 6]
"""Indexes `proxy.telemetry.record.STATES`."""


class Cursor(msgspec.Struct, frozen=True):
    """Where a page ended: the next one begins below this record."""

    time: float
    id: int

    def __str__(self) -> str:
        return f"{self.time!r}_{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """What `str` gave; None for anything else."""
        time, _, number = text.partition("_")
        try:
            cursor = cls(float(time), int(number))
        except ValueError:
            return None
        return cursor if 0 <= cursor.time < 1e11 and 0 <= cursor.id < 2**63 else None


class LogFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests. None, empty or False means all. `text` is looked for in the path, as it is.

    `start` and `end` are Unix seconds, `longer_than` is microseconds; `refused` leaves those with an error
    code.
    """

    start: float | None = None
    end: float | None = None
    method: Method | None = None
    status: int | None = None
    status_class: StatusClass | None = None
    state: State | None = None
    api: str = ""
    route: str = ""
    app: str = ""
    client_ip: str = ""
    target: str = ""
    code: str = ""
    policy: str = ""
    longer_than: int | None = None
    text: str = ""
    refused: bool = False

    def condition(self) -> Q:
        """The same for the database; values are parameters and nothing else."""
        exact = ("api", "route", "app", "client_ip", "target", "code", "policy", "method", "status", "state")
        given = {name: storable(getattr(self, name)) for name in exact}
        condition = Q(**{name: value for name, value in given.items() if value not in (None, "")})
        if self.start is not None:
            condition &= Q(time__gte=self.start)
        if self.end is not None:
            condition &= Q(time__lt=self.end)
        if self.status_class is not None:
            condition &= class_condition("status", (self.status_class,))
        if self.status_class in _FAILED_CLASSES or (self.status is not None and not 200 <= self.status < 400):
            condition &= FAILED
        if self.longer_than is not None:
            condition &= Q(duration_us__gte=self.longer_than)
        if self.text:
            condition &= Q(path__contains=storable(self.text))
        return condition & ~Q(code="") if self.refused else condition


class Page(msgspec.Struct):
    """Some records, newest first, and where the next page begins, if there is one."""

    records: list[RawRecord]
    next: Cursor | None


def page(scope: Scope, filters: LogFilters, after: Cursor | None = None, size: int = PAGE) -> Page:
    """One page, in one query."""
    size = min(max(size, 1), MAX_PAGE)
    rows = _visible(scope).filter(filters.condition())
    if after is not None:
        # The first condition says nothing new, but it is one that an index can use.
        rows = rows.filter(
            Q(time__lte=after.time), Q(time__lt=after.time) | Q(time=after.time, id__lt=after.id)
        )
    found = list(rows.order_by("-time", "-id")[: size + 1])
    more = len(found) > size
    records = found[:size]
    return Page(records, Cursor(records[-1].time, records[-1].pk) if more else None)


def count(scope: Scope, filters: LogFilters) -> int:
    """How many there are; counts them all, so mind the range."""
    return _visible(scope).filter(filters.condition()).count()


def find(scope: Scope, request_id: str) -> RawRecord | None:
    """The newest request with that id: a client that sets ids itself may use one twice."""
    rows = _visible(scope).filter(request_id=storable(request_id))
    return rows.order_by("-time", "-id").first()


def get(scope: Scope, number: int) -> RawRecord | None:
    """The record with that number, for the drawer of one row."""
    return _visible(scope).filter(pk=number).first()


def _visible(scope: Scope) -> QuerySet[RawRecord]:
    rows = RawRecord.objects.all()
    return rows if scope.apps is None else rows.filter(app__in=scope.apps)
