"""Search for any object, page or action: the page, and what the palette (Ctrl-K) shows; and the keys."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path, reverse

from analytics import traffic_log
from analytics.questions import EVERYTHING
from consoles.access import may
from consoles.admin.account import safe_next
from consoles.models import Membership, Role
from consoles.ui.listing import MAX_SEARCH
from consoles.ui.menu import menu_for
from consoles.ui.pages import Page
from consoles.ui.pick import Suggestions
from consoles.ui.registry import families

FOUND_EACH = 6
MIN_REQUEST_ID = 8


class Command(NamedTuple):
    """Something to do that the search finds by its words, for whoever has the role."""

    label: str
    url: str
    role: Role = Role.VIEWER
    words: str = ""


def commands() -> list[Command]:
    """All there are: something new of each kind, and what the console does besides."""
    found = [
        Command(f"New {family.noun}", family.url("create"), family.write, "add create")
        for family in families().values()
        if family.creatable
    ]
    return [
        *found,
        Command("Publish the draft", reverse("console:publish"), Role.PUBLISHER, "deploy release"),
        Command("Change your password", reverse("console:password"), words="account"),
        Command(
            "Requests that were refused", f"{reverse('console:traffic')}?refused=1", words="errors 401 429"
        ),
        Command("Open the developer portal", reverse("portal:catalogue"), words="catalogue"),
    ]


class Search(Page):
    """Names in all families, the pages of the menu, and things to do."""

    template = "admin/search.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """What a text finds; htmx gets the list alone."""
        text = request.GET.get("q", "").strip().replace("\0", "")[:MAX_SEARCH]
        context = {"title": "Search", "text": text, "groups": self._groups(text)}
        if self.wants_part:
            return self.render("admin/search_results.html", context)
        return self.answer(context)

    def _groups(self, text: str) -> list[dict[str, Any]]:
        """What fits; without a text the pages and the things to do, all of them."""
        found = [*self._pages(text), *self._commands(text)]
        if not text:
            return found
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

    def _pages(self, text: str) -> list[dict[str, Any]]:
        pages = [
            {
                "url": item.url,
                "name": item.label,
                "more": f"g {item.key}" if self._keys and item.key else section,
            }
            for section, items in menu_for(self.request.user, "")
            for item in items
            if text.lower() in item.label.lower()
        ]
        return [{"name": "Pages", "rows": pages[: FOUND_EACH if text else None], "all": ""}] if pages else []

    def _commands(self, text: str) -> list[dict[str, Any]]:
        wanted = text.lower().split()
        rows = [
            {"url": one.url, "name": one.label, "more": ""}
            for one in commands()
            if may(self.request.user, one.role)
            and all(word in f"{one.label} {one.words}".lower() for word in wanted)
        ]
        return [{"name": "Actions", "rows": rows[: FOUND_EACH if text else None], "all": ""}] if rows else []

    @property
    def _keys(self) -> bool:
        return bool(self.request.user.membership.shortcuts)

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


class Shortcuts(Page):
    """Whether single keys do something, for oneself."""

    roles: ClassVar = {"POST": Role.VIEWER}

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Back to where it was chosen."""
        Membership.objects.filter(user=request.user).update(shortcuts=request.POST.get("shortcuts") == "on")
        return redirect(safe_next(request, "console:overview"))


urlpatterns = [
    path("shortcuts/", Shortcuts.as_view(), name="shortcuts"),
    path("search/", Search.as_view(), name="search"),
    path("pick/<slug:family>/", Suggestions.as_view(), name="pick"),
]
