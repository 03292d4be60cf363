"""What the address of the traffic log asks for: filters, what is left out, columns; and the same as chips."""

from __future__ import annotations

import datetime
import time
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.db.models import Q
from django.http import QueryDict

from analytics.questions import CLASSES, storable
from analytics.traffic_log import LogFilters

RANGES = (("900", "15 minutes"), ("3600", "1 hour"), ("86400", "24 hours"), ("604800", "7 days"))
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
TEXTS = ("api", "route", "app", "client_ip", "target", "code", "policy", "text")
ALSO = ("host", "plan", "rule", "protocol")
"""Exact fields that the log's own filters do not have."""
NUMBERS = ("status", "longer_than", "shorter_than", "start", "end")
LABELS = {
    "api": "Api",
    "route": "Route",
    "app": "App",
    "client_ip": "Caller",
    "target": "Target",
    "code": "Error code",
    "policy": "Policy",
    "method": "Method",
    "status": "Status",
    "status_class": "Status",
    "longer_than": "Slower than",
    "shorter_than": "Faster than",
    "text": "Path",
    "host": "Host",
    "plan": "Plan",
    "rule": "Rule",
    "protocol": "Protocol",
}
CAN_BE_LEFT_OUT = (*TEXTS, *ALSO, "method", "status")
MAX_TEXT = 200
MAX_LEFT_OUT = 20


class Chip(NamedTuple):
    """A filter that is set, and the address without it."""

    text: str
    url: str


class ShownFilters(LogFilters, frozen=True, kw_only=True):
    """The log's filters and what only the page has."""

    shorter_than: int | None = None
    also: tuple[tuple[str, str], ...] = ()
    without: tuple[tuple[str, str], ...] = ()

    def condition(self) -> Q:
        """The same for the database; values are parameters and nothing else."""
        condition = super().condition()
        if self.shorter_than is not None:
            condition &= Q(duration_us__lt=self.shorter_than)
        for name, value in self.also:
            condition &= Q(**{name: storable(value)})
        for name, value in self.without:
            field = "path__contains" if name == "text" else name
            condition &= ~Q(**{field: int(value) if name == "status" else storable(value)})
        return condition


class Asked(NamedTuple):
    """An address, read; what is not known is left out."""

    given: dict[str, str]
    without: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()

    def query(self, **more: str) -> str:
        """The address that says the same, and more."""
        pairs = list(self.given.items())
        pairs += [("not", f"{name}:{value}") for name, value in self.without]
        pairs += [("column", name) for name in self.columns]
        return urlencode([*pairs, *more.items()])

    def only(self, **more: str) -> str:
        """The address that asks for this as well."""
        given = {**self.given, **more}
        if "start" in more or "end" in more:
            given.pop("since", None)
        return self._replace(given=given).query()

    def leaving_out(self, name: str, value: str) -> str:
        """The address that leaves these out as well."""
        given = {other: text for other, text in self.given.items() if (other, text) != (name, value)}
        return self._replace(given=given, without=(*self.without, (name, value))).query()

    @property
    def narrowed(self) -> bool:
        """Whether anything is filtered for."""
        return bool(self.given or self.without)

    def filters(self) -> ShownFilters:
        """The same for the database."""
        given = self.given
        plain: dict[str, Any] = {
            name: given[name] for name in (*TEXTS, "method", "status_class") if name in given
        }
        plain |= {name: int(given[name]) for name in ("status", "start", "end") if name in given}
        plain |= {name: int(given[name]) * 1000 for name in ("longer_than", "shorter_than") if name in given}
        if "since" in given:
            plain["start"] = time.time() - int(given["since"])
        also = tuple((name, given[name]) for name in ALSO if name in given)
        plain |= {"refused": "refused" in given, "also": also, "without": self.without}
        return msgspec.convert(plain, ShownFilters)

    def chips(self) -> list[Chip]:
        """Each filter with the address that is without it."""
        found = []
        for name, value in self.given.items():
            rest = {other: text for other, text in self.given.items() if other != name}
            text = _words(name, value)
            if text:
                found.append(Chip(text, f"?{self._replace(given=rest).query()}"))
        for name, value in self.without:
            left = tuple(one for one in self.without if one != (name, value))
            found.append(Chip(f"not {_words(name, value)}", f"?{self._replace(without=left).query()}"))
        return found


def read(given: QueryDict, columns: tuple[str, ...] = ()) -> Asked:
    """An address; `columns` are the names that there are."""
    names = (*TEXTS, *ALSO, *NUMBERS, "method", "status_class", "refused", "since")
    texts = {name: given.get(name, "").strip().replace("\0", "")[:MAX_TEXT] for name in names}
    found = {name: value for name, value in texts.items() if value}
    for name in NUMBERS:
        if not _is_number(found.get(name, "0"), 11 if name in ("start", "end") else 7):
            del found[name]
    allowed = {"method": METHODS, "status_class": CLASSES, "since": dict(RANGES)}
    found = {name: value for name, value in found.items() if value in allowed.get(name, (value,))}
    wanted = given.getlist("column")
    return Asked(found, _left_out(given.getlist("not")), tuple(name for name in columns if name in wanted))


def _left_out(texts: list[str]) -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for text in texts[:MAX_LEFT_OUT]:
        name, _, value = text.replace("\0", "").partition(":")
        value = value.strip()[:MAX_TEXT]
        if name in CAN_BE_LEFT_OUT and value and (name != "status" or _is_number(value, 7)):
            found[name, value] = None
    return tuple(found)


def _is_number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits


def _words(name: str, value: str) -> str:
    """A filter as people say it; empty for those that a select of the page shows."""
    if name == "refused":
        return "refused only"
    if name in ("start", "end"):
        at = datetime.datetime.fromtimestamp(int(value), datetime.UTC)
        return f"{'from' if name == 'start' else 'until'} {at:%Y-%m-%d %H:%M:%S} UTC"
    if name in ("status", "status_class") and value in ("0", "none"):
        return "Status: no answer"
    unit = " ms" if name in ("longer_than", "shorter_than") else ""
    return f"{LABELS[name]}: {value}{unit}" if name in LABELS else ""
