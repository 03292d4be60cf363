"""Publishing: what differs from what is live, what is wrong with it, and the button."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import msgspec
from django.contrib import messages
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path

from consoles import audit
from consoles.models import Role
from consoles.ui.changing import REFUSED
from consoles.ui.documents import ShownChange, ShownProblem, shown_changes, shown_problems
from consoles.ui.menu import Entry
from consoles.ui.pages import Page
from consoles.ui.registry import families
from consoles.ui.unpublished import remember, signature, still_as_seen
from proxy.config import document
from proxy.config.draft import draft_document
from proxy.config.problem import Problem
from proxy.config.publish import PublishRefused, app_names, live_document, publish
from proxy.config.whole import check, warnings_of
from proxy.models import Gateway, IdentityVersion, Revision

MAX_NOTE = 2000
MAX_KEPT_LINES = 20_000
"""What is bigger is compared anew on every visit: a cache is no place for it."""


class Comparison(NamedTuple):
    """The draft against what is live: changes to show, how many there are, what is wrong, what looks wrong."""

    changes: list[ShownChange]
    count: int
    problems: list[ShownProblem]
    warnings: list[ShownProblem]


def comparison(seen: str) -> Comparison:
    """Kept for the draft whose signature was `seen`, until it or an App changes: a big one takes a while."""
    key = f"tidegate:compared:{seen}:{IdentityVersion.current().number}"
    found: Comparison | None = cache.get(key)
    if found is None:
        found = _compared(seen)
        if sum(len(change.lines) for change in found.changes) <= MAX_KEPT_LINES:
            cache.set(key, found, 3600)
    return found


def _compared(seen: str) -> Comparison:
    try:
        draft = draft_document()
    except msgspec.ValidationError as error:
        problem = Problem("draft", "", f"holds a row that was written past validation: {error}")
        return Comparison([], 0, shown_problems([problem]), [])
    snapshot, problems = check(draft, app_names())
    warnings = warnings_of(draft, snapshot) if snapshot else []
    old = _live()
    changes, count = shown_changes(old or document.Document(), draft)
    if old is not None:
        remember(seen, count)
    return Comparison(changes, count, shown_problems(problems), shown_problems(warnings))


def _live() -> document.Document | None:
    """None if this version cannot read it any more."""
    try:
        return live_document()
    except PublishRefused:
        return None


class PublishPage(Page):
    """The draft against what is live."""

    roles: ClassVar = {"GET": Role.VIEWER, "POST": Role.PUBLISHER}
    template = "admin/publish.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Changes, problems, warnings."""
        return self._show()

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Publish the draft, if it is still the one that was looked at and nothing is wrong with it."""
        note = request.POST.get("note", "").strip()[:MAX_NOTE]
        try:
            with transaction.atomic():
                Gateway.lock()
                if not still_as_seen(request):
                    return redirect("console:publish")
                done = publish(note, request.user.get_username())
                changes = {change.object: (None, change.kind) for change in done.changes[:100]}
                audit.record(request, audit.Action.PUBLISH, done.revision, extra=changes)
        except PublishRefused:
            return self._show(REFUSED, note)
        messages.success(request, f"Revision {done.revision.number} is published.")
        return redirect(families()["revisions"].url("detail", done.revision))

    def _show(self, status: int = 200, note: str = "") -> HttpResponse:
        seen = signature()
        live = Revision.objects.defer("document").order_by("-number").first()
        context: dict[str, Any] = {"title": "Publish", "live": live, "note": note, "seen": seen}
        return self.answer({**context, **comparison(seen)._asdict()}, status)


urlpatterns = [path("publish/", PublishPage.as_view(), name="publish")]
menu = [Entry("Changes", 10, "Publish", "send", "console:publish")]
