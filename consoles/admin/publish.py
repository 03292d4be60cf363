"""Publishing: what differs from what is live, what is wrong with it, and the button."""

from __future__ import annotations

from typing import Any, ClassVar

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
from consoles.ui.documents import shown_changes, shown_problems
from consoles.ui.menu import Entry
from consoles.ui.pages import Page
from consoles.ui.registry import families
from consoles.ui.unpublished import signature
from proxy.config import document
from proxy.config.draft import draft_document
from proxy.config.problem import Problem
from proxy.config.publish import PublishRefused, app_names, live_document, live_revision, publish
from proxy.config.whole import check, warnings_of
from proxy.models import IdentityVersion

MAX_NOTE = 2000


def _checked(draft: document.Document) -> tuple[list[Problem], list[Problem]]:
    """Problems and warnings, kept until the draft or an App changes: a big draft takes a while to check."""
    key = f"tidegate:checked:{signature()}:{IdentityVersion.current().number}"
    found: tuple[list[Problem], list[Problem]] | None = cache.get(key)
    if found is None:
        snapshot, problems = check(draft, app_names())
        found = problems, warnings_of(draft, snapshot) if snapshot else []
        cache.set(key, found, 3600)
    return found


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
        if request.POST.get("seen") != signature():
            messages.warning(
                request, "The draft has changed since you looked at it. Look again, then publish."
            )
            return redirect("console:publish")
        try:
            with transaction.atomic():
                done = publish(note, request.user.get_username())
                changes = {change.object: (None, change.kind) for change in done.changes[:100]}
                audit.record(request, audit.Action.PUBLISH, done.revision, extra=changes)
        except PublishRefused:
            return self._show(REFUSED, note)
        messages.success(request, f"Revision {done.revision.number} is published.")
        return redirect(families()["revisions"].url("detail", done.revision))

    def _show(self, status: int = 200, note: str = "") -> HttpResponse:
        seen, live = signature(), live_revision()
        context: dict[str, Any] = {"title": "Publish", "live": live, "note": note, "seen": seen}
        context.update(self._draft())
        return self.answer(context, status)

    def _draft(self) -> dict[str, Any]:
        try:
            draft, old = draft_document(), self._live()
        except msgspec.ValidationError as error:
            problem = Problem("draft", "", f"holds a row that was written past validation: {error}")
            return {"changes": [], "count": 0, "problems": shown_problems([problem]), "warnings": []}
        problems, warnings = _checked(draft)
        changes, count = shown_changes(old, draft)
        return {
            "changes": changes,
            "count": count,
            "problems": shown_problems(problems),
            "warnings": shown_problems(warnings),
        }

    def _live(self) -> document.Document:
        try:
            return live_document()
        except PublishRefused:
            return document.Document()


urlpatterns = [path("publish/", PublishPage.as_view(), name="publish")]
menu = [Entry("Changes", 10, "Publish", "send", "console:publish")]
