"""The live tail: requests as they happen, and the drawer of one that may not be in the log yet."""

from __future__ import annotations

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from analytics import traffic_log
from analytics.models import RawRecord
from analytics.questions import EVERYTHING
from consoles.admin.traffic import TrafficDetail, why
from consoles.live.filters import CLASSES, MAX_TEXT, METHODS, TailFilters
from consoles.ui.menu import Entry
from consoles.ui.node import folder
from consoles.ui.pages import Page
from proxy.models import Api
from proxy.telemetry.tail import Tail

SUGGESTED = 200


class LiveTail(Page):
    """The page; its rows come over the socket of `consoles.live.tail`."""

    template = "admin/tail.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Filters are in the address, as on the log."""
        context = {
            "title": "Live tail",
            "given": TailFilters.parse(request.META.get("QUERY_STRING", "")),
            "classes": [name for name in CLASSES if name != "1xx"],
            "methods": METHODS,
            "apis": Api.objects.order_by("slug").values_list("slug", flat=True)[:SUGGESTED],
        }
        return self.answer(context)


class TailRequest(TrafficDetail):
    """One request by its id: out of the log, or out of the spool if it has not come so far."""

    def get(self, request: HttpRequest, pk: int = 0) -> HttpResponse:
        """What the drawer shows, or the whole page."""
        wanted = request.GET.get("id", "")[:MAX_TEXT]
        kept = traffic_log.find(EVERYTHING, wanted) if wanted else None
        if kept is not None:
            return super().get(request, kept.pk)
        row = _in_spool(wanted) if wanted else None
        if row is not None:
            return self._show(row)
        if self.wants_part == "drawer-content":
            return self.render("admin/tail_gone.html", {})
        raise Http404

    def _show(self, row: RawRecord) -> HttpResponse:
        context = {
            "title": f"{row.method} {row.path}",
            "row": row,
            "groups": self._facts(row),
            "why": why(row),
        }
        part = self.wants_part == "drawer-content"
        return self.render("admin/traffic_drawer.html" if part else self.template, context)


def _in_spool(request_id: str) -> RawRecord | None:
    try:
        found = Tail(folder() / "spool", lambda record: record.request_id == request_id).last(1)
    except OSError:
        return None
    return RawRecord(**msgspec.structs.asdict(found[0])) if found else None


urlpatterns = [
    path("tail/", LiveTail.as_view(), name="tail"),
    path("tail/request/", TailRequest.as_view(), name="tail-request"),
]
menu = [Entry("", 11, "Live tail", "activity-heartbeat", "console:tail")]
