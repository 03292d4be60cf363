"""Search for any object: the page, and what the palette (Ctrl-K) shows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse

from analytics import traffic_log
from analytics.questions import EVERYTHING
from consoles.access import may
from consoles.ui.listing import MAX_SEARCH
from consoles.ui.menu import menu_for
from consoles.ui.pages import Page
from consoles.ui.pick import Suggestions
from consoles.ui.registry import families

FOUND_EACH = 6
MIN_REQUEST_ID = 8


class Search(Page):
    """Names in all families, and the pages of the menu."""

    template = "admin/search.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """What a text finds; htmx gets the list alone."""
        text = request.GET.get("q", "").strip().replace("\0", "")[:MAX_SEARCH]
        context = {"title": "Search", "text": text, "groups": self._groups(text) if text else []}
        if self.wants_part:
            return self.render("admin/search_results.html", context)
        return self.answer(context)

    def _groups(self, text: str) -> list[dict[str, Any]]:
        pages = [
            {"url": item.url, "name": item.label, "more": section}
            for section, items in menu_for(self.request.user, "")
            for item in items
            if text.lower() in item.label.lower()
        ]
        found = [{"name": "Pages", "rows": pages[:FOUND_EACH], "all": ""}] if pages else []
        found += self._requests(text)
        for family in families().values():
            if not family.search or not family.section or not may(self.request.user, family.read):
                continue
            rows = list(family.found(text).order_by("pk")[: FOUND_EACH + 1])
            if rows:
                shown = [
                    {
                        "url": family.url("detail", row),
                        "name": family.name(row),
                        "more": self._more(family.title(row), family.name(row)),
                    }
                    for row in rows[:FOUND_EACH]
                ]
                more = family.url("list") if len(rows) > FOUND_EACH else ""
                found.append({"name": family.plural, "rows": shown, "all": more})
        return found

    def _requests(self, text: str) -> list[dict[str, Any]]:
        """The request of that id: what callers have when something went wrong."""
        record = traffic_log.find(EVERYTHING, text) if len(text) >= MIN_REQUEST_ID else None
        if record is None:
            return []
        row = {
            "url": reverse("console:traffic-detail", args=[record.pk]),
            "name": f"{record.method} {record.path}",
            "more": str(record.status or "no answer"),
        }
        return [{"name": "Requests", "rows": [row], "all": ""}]

    def _more(self, title: str, name: str) -> str:
        return "" if title == name else title


urlpatterns = [
    path("search/", Search.as_view(), name="search"),
    path("pick/<slug:family>/", Suggestions.as_view(), name="pick"),
]
