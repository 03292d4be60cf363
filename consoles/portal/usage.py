"""The own traffic of one App: calls, errors, latency, and the calls that failed last."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.urls import path
from msgspec.structs import replace

from analytics import queries
from analytics.answers import Timeline, Totals
from analytics.one_view import one_view
from analytics.questions import Question, Scope, StatusClass, last, only
from analytics.traffic_log import LogFilters
from analytics.traffic_log import page as log_page
from consoles.portal.pages import PortalPage
from consoles.portal.reasons import Reason, reason
from proxy.telemetry.record import CLIENT_ABORT

RANGES = {
    "1h": ("1 hour", 3600),
    "24h": ("24 hours", 86_400),
    "7d": ("7 days", 604_800),
    "30d": ("30 days", 2_592_000),
}
DEFAULT = "24h"
BARS = 60
HEIGHT = 120
SHOWN_FAILURES = 25
SHOWN_REASONS = 8
LAYERS = (("good", ("1xx", "2xx", "3xx")), ("refused", ("4xx",)), ("failed", ("5xx", "none")))
FAILED: tuple[StatusClass, ...] = ("4xx", "5xx", "none")


class Part(NamedTuple):
    """A rectangle of the chart."""

    x: float
    y: float
    height: float
    layer: str


class Bar(NamedTuple):
    """The calls of one span of time."""

    start: int
    good: int
    refused: int
    failed: int

    @property
    def at(self) -> datetime.datetime:
        """When it begins."""
        return time_of(self.start)


class Chart(NamedTuple):
    """Bars as rectangles, and the same as a table."""

    parts: list[Part]
    bars: list[Bar]
    most: int
    step: int


class Usage(PortalPage):
    """For one of the reader's own Apps; nothing else can be asked about."""

    template = "portal/usage.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page for one range."""
        row = self.app(pk)
        name = request.GET.get("range", DEFAULT)
        chosen = name if name in RANGES else DEFAULT
        question = last(RANGES[chosen][1], only(row.name))
        # Traffic goes by names, and an App that is gone may have had this one.
        question = replace(question, start=max(question.start, int(row.created_at.timestamp())))
        with one_view():  # else a call could be among those that failed and not be counted
            numbers = _numbers(question)
        context: dict[str, Any] = {
            "title": f"Usage of {row}",
            "row": row,
            "ranges": [(key, label, key == chosen) for key, (label, _) in RANGES.items()],
            "range_label": RANGES[chosen][0].removeprefix("1 "),
            **numbers,
        }
        return self.answer(context)


def _numbers(question: Question) -> dict[str, Any]:
    """All that is read from the rollups and the log."""
    totals = queries.totals(question)
    found: dict[str, Any] = {
        "totals": totals,
        "refused": totals.classes.get("4xx", 0),
        "error_share": _share(totals),
        "p50": _milliseconds(totals.latency.p50),
        "p95": _milliseconds(totals.latency.p95),
        "failures": failures(question.scope, question.start),
    }
    if totals.count:
        found["chart"] = chart(queries.timeline(question, "class"))
        found["reasons"] = _reasons(question)
    return found


def _share(totals: Totals) -> str:
    if not totals.count:
        return "–"
    share = 100 * (totals.failures + totals.classes.get("4xx", 0)) / totals.count
    return "0 %" if not share else "< 0.1 %" if share < 0.1 else f"{share:.1f} %"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1000:.1f} ms" if value < 10_000 else f"{value / 1000:,.0f} ms"


def chart(timeline: Timeline) -> Chart:
    """At most `BARS` bars, each of whole steps, stacked by how calls ended."""
    lines = {line.label: line.values for line in timeline.lines}
    width = -(-len(timeline.times) // BARS)
    bars = []
    for first in range(0, len(timeline.times), width):
        span = slice(first, first + width)
        sums = [
            sum(int(value or 0) for name in names for value in lines.get(name, [])[span])
            for _, names in LAYERS
        ]
        bars.append(Bar(timeline.times[first], *sums))
    most = max((sum(bar[1:]) for bar in bars), default=0)
    return Chart(list(_parts(bars, most)), bars, most, timeline.step * width)


def _parts(bars: list[Bar], most: int) -> list[Part]:
    found: list[Part] = []
    for place, bar in enumerate(bars):
        top = float(HEIGHT)
        for (layer, _), count in zip(LAYERS, bar[1:], strict=True):
            if count:
                height = round(max(1.5, HEIGHT * count / most), 2)
                top = max(0.0, round(top - height, 2))
                found.append(Part(place * 10 + 1, top, height, layer))
    return found


def _reasons(question: Question) -> list[tuple[Reason, int, int]]:
    """Reason, status and number of those that the gateway refused or failed."""
    found: Counter[tuple[Reason, int]] = Counter()
    for group in queries.errors(question, SHOWN_REASONS):
        code, _, status = group.labels
        found[reason(code, int(status)), int(status)] += group.totals.count
    return [(why, status, count) for (why, status), count in found.most_common()]


def failures(scope: Scope, start: float) -> list[dict[str, Any]]:
    """The calls that failed last, newest first, with the reason."""
    found: dict[int, Any] = {}
    for kind in FAILED:
        page = log_page(scope, LogFilters(start=start, status_class=kind), size=SHOWN_FAILURES)
        found.update((record.pk, record) for record in page.records)
    newest = sorted(found.values(), key=lambda record: (-record.time, -record.pk))[:SHOWN_FAILURES]
    return [_failure(record) for record in newest]


def _failure(record: Any) -> dict[str, Any]:
    return {
        "at": time_of(record.time),
        "method": record.method,
        "path": record.path,
        "status": record.status or ("aborted" if record.state == CLIENT_ABORT else "no answer"),
        "reason": reason(record.code, record.status, record.state, record.rule),
        "took": _milliseconds(record.duration_us),
        "request_id": record.request_id,
    }


def time_of(seconds: float) -> datetime.datetime:
    """Unix seconds as a time in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


urlpatterns = [path("apps/<int:pk>/usage/", Usage.as_view(), name="usage")]
