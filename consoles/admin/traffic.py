"""The traffic log: single requests with filters, and for each why it went as it did."""

from __future__ import annotations

import datetime
import time
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse

from analytics import traffic_log
from analytics.models import RawRecord
from analytics.questions import CLASSES, EVERYTHING, state_name
from analytics.traffic_log import Cursor, LogFilters
from consoles.ui.cells import Badge, Code, Copyable, Link, render
from consoles.ui.charts import duration
from consoles.ui.documents import urls_of
from consoles.ui.menu import Entry
from consoles.ui.pages import Page
from proxy.models import App

RANGES = (("900", "15 minutes"), ("3600", "1 hour"), ("86400", "24 hours"), ("604800", "7 days"))
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
TEXTS = ("api", "route", "app", "client_ip", "target", "code", "policy", "text")
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
    "text": "Path",
}
MAX_TEXT = 200


class Chip(NamedTuple):
    """A filter that is set, and the address without it."""

    text: str
    url: str


def asked(request: HttpRequest) -> dict[str, str]:
    """The filters in the address, as text; what is not known is left out."""
    names = (*TEXTS, "method", "status", "status_class", "longer_than", "refused", "since")
    given = {name: request.GET.get(name, "").strip().replace("\0", "")[:MAX_TEXT] for name in names}
    found = {name: value for name, value in given.items() if value}
    for name in ("status", "longer_than"):
        if not (
            found.get(name, "0").isascii() and found.get(name, "0").isdigit() and len(found.get(name, "")) < 8
        ):
            del found[name]
    allowed = {"method": METHODS, "status_class": CLASSES, "since": dict(RANGES)}
    return {name: value for name, value in found.items() if value in allowed.get(name, (value,))}


def filters_of(given: dict[str, str]) -> LogFilters:
    """The same for the database."""
    plain: dict[str, Any] = {
        name: given[name] for name in (*TEXTS, "method", "status_class") if name in given
    }
    if "status" in given:
        plain["status"] = int(given["status"])
    if "longer_than" in given:
        plain["longer_than"] = int(given["longer_than"]) * 1000
    if "since" in given:
        plain["start"] = time.time() - int(given["since"])
    return msgspec.convert({**plain, "refused": "refused" in given}, LogFilters)


def status_badge(row: RawRecord) -> Badge:
    """The status, in words where there is none."""
    if not row.status:
        return Badge("no answer", "secondary")
    colours: dict[int, Any] = {2: "green", 3: "blue", 4: "yellow", 5: "red"}
    return Badge(str(row.status), colours.get(row.status // 100, "secondary"))


def moment(row: RawRecord) -> datetime.datetime:
    """When it arrived."""
    return datetime.datetime.fromtimestamp(row.time, datetime.UTC)


class TrafficLog(Page):
    """Requests, newest first, page by page."""

    template = "admin/traffic.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The log; htmx asks for the table alone."""
        given = asked(request)
        after = Cursor.parse(request.GET.get("after", ""))
        page = traffic_log.page(EVERYTHING, filters_of(given), after)
        older = urlencode({**given, "after": str(page.next)}) if page.next else ""
        context = {
            "title": "Traffic log",
            "given": given,
            "rows": [self._shown(row) for row in page.records],
            "older": older,
            "newest": urlencode(given) if after else "",
            "chips": self._chips(given),
            "ranges": RANGES,
            "methods": METHODS,
            "classes": [name for name in CLASSES if name != "1xx"],
        }
        return self.answer(context)

    def _shown(self, row: RawRecord) -> dict[str, Any]:
        return {
            "row": row,
            "url": reverse("console:traffic-detail", args=[row.pk]),
            "at": moment(row),
            "status": status_badge(row),
            "duration": duration(row.duration_us),
        }

    def _chips(self, given: dict[str, str]) -> list[Chip]:
        found = []
        for name, value in given.items():
            rest = {other: text for other, text in given.items() if other != name}
            words = (
                "refused only" if name == "refused" else f"{LABELS[name]}: {value}" if name in LABELS else ""
            )
            if words:
                found.append(Chip(words + (" ms" if name == "longer_than" else ""), f"?{urlencode(rest)}"))
        return found


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
                    ("Host", row.host),
                    ("Protocol", row.protocol),
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
                    ("Plan", row.plan),
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
menu = [Entry("", 10, "Traffic log", "wave-sine", "console:traffic")]
