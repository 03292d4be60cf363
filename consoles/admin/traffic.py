"""The traffic log: single requests with filters, and for each why it went as it did."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import path, reverse

from analytics import traffic_log
from analytics.limits import limit
from analytics.models import RawRecord
from analytics.questions import CLASSES, EVERYTHING, state_name
from analytics.traffic_log import Cursor
from consoles.admin.traffic_asked import MAX_TEXT, METHODS, RANGES, Asked, read
from consoles.admin.traffic_columns import (
    COLUMNS,
    NAMES,
    USUAL,
    LogColumn,
    cell_of,
    columns_of,
    moment,
    status_badge,
)
from consoles.admin.traffic_curl import curl_of
from consoles.ui.cells import Code, Copyable, Link, Snippet, Text, render
from consoles.ui.charts import duration
from consoles.ui.documents import urls_of
from consoles.ui.menu import Entry
from consoles.ui.pages import Page
from consoles.ui.saved import SavedPage, saved_views
from proxy.models import App

__all__ = ["MAX_TEXT", "METHODS"]


def normal(given: QueryDict) -> str:
    """The log's own address of what was sent."""
    return asked_of(given).query()


def asked_of(given: QueryDict) -> Asked:
    """An address, read; the usual columns need not be named."""
    found = read(given, NAMES)
    return found._replace(columns=()) if found.columns == USUAL else found


def recording() -> bool:
    """Whether requests are kept at all."""
    return limit("RAW_ROWS") > 0 and limit("RAW_DAYS") > 0


class TrafficLog(Page):
    """Requests, newest first, page by page."""

    template = "admin/traffic.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The log; htmx asks for the table alone."""
        asked = asked_of(request.GET)
        after = Cursor.parse(request.GET.get("after", ""))
        page = traffic_log.page(EVERYTHING, asked.filters(), after)
        columns = columns_of(asked)
        query = asked.query()
        context = {
            "title": "Traffic log",
            "given": asked.given,
            "asked": asked,
            "hidden": _hidden(asked),
            "columns": columns,
            "offered": [(column, column in columns) for column in COLUMNS],
            "rows": [self._shown(row, asked, columns) for row in page.records],
            "older": asked.query(after=str(page.next)) if page.next else "",
            "newest": f"?{query}" if after else "",
            "chips": asked.chips(),
            "ranges": RANGES,
            "methods": METHODS,
            "classes": [name for name in CLASSES if name != "1xx"],
            "recording": recording(),
            "saved": saved_views(request.user, "traffic", query),
            "download": f"{reverse('console:traffic-download')}?{query}",
        }
        return self.answer(context)

    def _shown(self, row: RawRecord, asked: Asked, columns: list[LogColumn]) -> dict[str, Any]:
        return {
            "row": row,
            "url": reverse("console:traffic-detail", args=[row.pk]),
            "cells": [cell_of(column, row, asked) for column in columns],
        }


def _hidden(asked: Asked) -> list[tuple[str, str]]:
    """What the filters of the page do not show but must send along."""
    visible = ("text", "since", "status_class", "method", "longer_than", "refused")
    found = [(name, value) for name, value in asked.given.items() if name not in visible]
    return [*found, *(("not", f"{name}:{value}") for name, value in asked.without)]


class TrafficDetail(Page):
    """One request: which Route, which Target, which policy refused it and why."""

    template = "admin/traffic_detail.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page, or for htmx what the drawer shows."""
        row = traffic_log.get(EVERYTHING, pk)
        if row is None:
            raise Http404
        context = {
            "title": f"{row.method} {row.path}",
            "row": row,
            "groups": self._facts(row),
            "why": why(row),
        }
        if self.wants_part == "drawer-content":
            return self.render("admin/traffic_drawer.html", context)
        return self.answer(context)

    def _facts(self, row: RawRecord) -> list[tuple[str, list[tuple[str, Any]]]]:
        urls = urls_of([f"api {row.api}", f"route {row.route}"])
        app = App.objects.filter(name=row.app).first() if row.app else None
        groups: list[tuple[str, list[tuple[str, Any]]]] = [
            (
                "Request",
                [
                    ("Id", Copyable(row.request_id)),
                    ("Trace", Code(row.trace_id)),
                    ("At", moment(row)),
                    ("Host", _filter_link("host", row.host)),
                    ("Protocol", _filter_link("protocol", row.protocol)),
                    ("Caller", _filter_link("client_ip", row.client_ip)),
                    ("User agent", row.user_agent),
                    ("Body", f"{row.bytes_in:,} bytes"),
                ],
            ),
            (
                "Way through the gateway",
                [
                    ("Api", _named(urls.get(f"api {row.api}"), row.api)),
                    ("Route", _named(urls.get(f"route {row.route}"), row.route)),
                    ("Revision", row.revision),
                    ("App", Link(reverse("console:apps-detail", args=[app.pk]), row.app) if app else row.app),
                    ("Plan", _filter_link("plan", row.plan)),
                    ("Only observed", row.observed),
                    ("Target", _filter_link("target", row.target)),
                    ("Tries", row.tries),
                ],
            ),
            (
                "Answer",
                [
                    ("Status", status_badge(row)),
                    ("How it ended", state_name(row.state).replace("_", " ")),
                    ("Whole time", duration(row.duration_us)),
                    ("Time of the upstream", duration(row.upstream_us) if row.target else None),
                    ("Body", f"{row.bytes_out:,} bytes"),
                ],
            ),
            (
                "Send it again",
                [
                    ("With curl", Snippet(curl_of(row))),
                    (
                        "Left out",
                        Text("Query, body and other headers, which are not recorded. KEY is yours to set."),
                    ),
                ],
            ),
        ]
        return [(title, [(name, render(value)) for name, value in facts]) for title, facts in groups]


def why(row: RawRecord) -> list[tuple[str, str]]:
    """Why the gateway refused it or failed; nothing if it did not."""
    if not row.code:
        return []
    found = [("Error code", row.code), ("Policy", row.policy), ("Rule", row.rule)]
    return [(name, value) for name, value in found if value]


def _filter_link(name: str, value: str) -> Any:
    return Link(f"{reverse('console:traffic')}?{urlencode({name: value})}", value) if value else None


def _named(url: str | None, text: str) -> Any:
    return Link(url, text) if url else text


urlpatterns = [
    path("traffic/", TrafficLog.as_view(), name="traffic"),
    path("traffic/<int:pk>/", TrafficDetail.as_view(), name="traffic-detail"),
]
saved_pages = [SavedPage("traffic", "Traffic log", "console:traffic", normal)]
menu = [Entry("", 10, "Traffic log", "wave-sine", "console:traffic")]
