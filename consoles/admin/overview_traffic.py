"""The traffic on the overview: totals, charts, what is called most and what fails most."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

from analytics import queries
from analytics.one_view import one_view
from analytics.questions import EVERYTHING, last
from consoles.ui.charts import chart, duration
from consoles.ui.pages import Page

RANGES = ((900, "15 minutes"), (3600, "1 hour"), (86_400, "24 hours"), (604_800, "7 days"))
SHOWN = 6


class OverviewTraffic(Page):
    """A part of the overview, asked for by itself so that the page does not wait for it."""

    template = "admin/overview_traffic_page.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """For htmx the part alone."""
        wanted = request.GET.get("range", "")
        seconds = next((one for one, _ in RANGES if str(one) == wanted), RANGES[1][0])
        with one_view():
            numbers = self._numbers(seconds)
        context = {"title": "Traffic", "range": seconds, "ranges": RANGES, **numbers}
        if self.wants_part == "traffic":
            return self.render("admin/overview_traffic.html", context)
        return self.answer(context)

    def _numbers(self, seconds: int) -> dict[str, Any]:
        question = last(seconds, EVERYTHING)
        totals = queries.totals(question)
        ingested, aside = queries.ingestion()
        requests = chart(
            "requests", "Requests by status", queries.timeline(question, "class"), "stack", "requests"
        )
        latency = chart(
            "latency", "Time to answer", queries.latency(question), "lines", "ms", lambda us: us / 1000
        )
        return {
            "totals": totals,
            "data_to": ingested.updated_at if ingested.records else None,
            "aside": aside,
            "rate": totals.count / seconds,
            "p50": duration(totals.latency.p50),
            "p95": duration(totals.latency.p95),
            "p99": duration(totals.latency.p99),
            "upstream": duration(totals.upstream.p50),
            "charts": [requests, latency],
            "apis": [
                (group.labels[0] or "(no Api)", group.totals)
                for group in queries.top(question, "api", count=SHOWN)
            ],
            "errors": [(*group.labels, group.totals.count) for group in queries.errors(question, SHOWN)],
        }


urlpatterns = [path("overview/traffic/", OverviewTraffic.as_view(), name="overview-traffic")]
