"""Revisions: what was published, by whom and why; what is live on the nodes; the way back."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.db import transaction
from django.db.models import Max, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse

from consoles import audit
from consoles.models import Role
from consoles.ui.cells import Badge, Code, Text
from consoles.ui.changing import REFUSED
from consoles.ui.documents import shown_changes, shown_problems
from consoles.ui.family import Action, Family
from consoles.ui.listing import Column
from consoles.ui.node import node_state, state_name
from consoles.ui.pages import Page
from consoles.ui.panels import Drawn, Facts
from consoles.ui.registry import families
from proxy.config import document
from proxy.config.publish import PublishRefused, live_document, live_revision, revision_document, rollback
from proxy.models import Gateway, Revision

STOP_POLLING = 286
"""What tells htmx that there is nothing more to wait for."""


def is_live(row: Revision) -> bool:
    """Whether it is the newest, which is what nodes run."""
    newest = Revision.objects.aggregate(top=Max("number"))["top"]
    return bool(newest == row.number)


def nodes_context(number: int) -> dict[str, Any]:
    """The workers of this node and what each runs, against one revision."""
    state = node_state()
    workers = [
        {
            "slot": one.slot,
            "state": state_name(one),
            "revision": one.revision,
            "there": one.revision >= number,
        }
        for one in state.workers
    ]
    return {"node": state.name, "workers": workers, "there": state.all_run(number), "number": number}


def _nodes(row: Revision, request: HttpRequest) -> dict[str, Any]:
    live = is_live(row)
    poll = reverse("console:revisions-nodes", args=[row.pk])
    return {**nodes_context(row.number), "live": live, "poll_url": poll}


def _read(row: Revision | None) -> document.Document | None:
    try:
        return revision_document(row) if row else document.Document()
    except PublishRefused:
        return None


def _changes(row: Revision, request: HttpRequest) -> dict[str, Any]:
    earlier = Revision.objects.filter(number__lt=row.number).order_by("-number").first()
    old, new = _read(earlier), _read(row)
    if old is None or new is None:
        return {"changes": [], "count": 0, "unreadable": True, "lines": row.changes}
    changes, count = shown_changes(old, new)
    return {"changes": changes, "count": count, "earlier": earlier}


class NodesPart(Page):
    """The part of a revision's page that shows nodes turning live; it is asked for until they are."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Says by its status whether to go on asking."""
        row = get_object_or_404(Revision.objects.defer("document"), pk=pk)
        context = nodes_context(row.number)
        return self.render("admin/nodes.html", context, STOP_POLLING if context["there"] else 200)


class RollBack(Page):
    """Publishing an old Revision again."""

    roles: ClassVar = {"GET": Role.PUBLISHER, "POST": Role.PUBLISHER}
    template = "admin/rollback.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What it would change against what is live."""
        return self._show(get_object_or_404(Revision, pk=pk))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Publish it; the draft becomes equal to it."""
        row = get_object_or_404(Revision, pk=pk)
        note = request.POST.get("note", "").strip()[:2000]
        try:
            with transaction.atomic():
                Gateway.lock()
                live = live_revision()
                if request.POST.get("seen") != str(live.number if live else 0):
                    messages.warning(request, "Somebody published meanwhile. Look again, then roll back.")
                    return redirect("console:revisions-rollback", pk=pk)
                done = rollback(row.number, request.user.get_username(), note)
                changes = {"revision": (live.number if live else None, row.number)}
                audit.record(request, audit.Action.ROLLBACK, done.revision, extra=changes)
        except PublishRefused as refused:
            return self._show(row, REFUSED, problems=shown_problems(refused.problems))
        messages.success(
            request, f"Rolled back: revision {done.revision.number} is revision {row.number} again."
        )
        return redirect(families()["revisions"].url("detail", done.revision))

    def _show(self, row: Revision, status: int = 200, **more: Any) -> HttpResponse:
        live, old = live_revision(), _read(row)
        try:
            changes, count = shown_changes(live_document(), old) if old else ([], 0)
        except PublishRefused:
            changes, count = [], 0
        context = {
            "family": families()["revisions"],
            "row": row,
            "back": families()["revisions"].url("detail", row),
            "title": f"Roll back to revision {row.number}",
            "live": live,
            "seen": live.number if live else 0,
            "changes": changes,
            "count": count,
            **more,
        }
        return self.answer(context, status)


class Revisions(Family):
    """All Revisions."""

    model = Revision
    path, noun, plural = "revisions", "revision", "Revisions"
    icon, section, place = "git-commit", "Changes", 20
    summary = "A revision is one published configuration. The newest is live; any can be published again."
    draft = creatable = editable = deletable = False
    search = ("note", "author")
    order = ("-number",)
    columns = (
        Column("number", "Revision", lambda row: f"#{row.number}", link=True, sort="number"),
        Column("state", "State", lambda row: Badge("live", "green") if row.number == row.newest else None),
        Column("note", "Note", lambda row: row.note[:120]),
        Column("author", "By", sort="author"),
        Column("changes", "Changes", lambda row: len(row.changes), number=True, wide=True),
        Column("created_at", "Published", sort="created_at", wide=True),
    )
    panels = (
        Facts(
            "Revision",
            lambda row: (
                ("Published", row.created_at),
                ("By", row.author),
                ("Note", Text(row.note)),
                ("Digest", Code(row.digest[:16])),
            ),
        ),
        Drawn("Nodes", "admin/nodes_panel.html", _nodes, wide=False),
        Drawn("Changes", "admin/changes_panel.html", _changes),
    )

    def rows(self) -> QuerySet[Any]:
        """With the newest number, but without the documents, which are big."""
        newest = Revision.objects.order_by("-number").values("number")[:1]
        return Revision.objects.defer("document").annotate(newest=Subquery(newest))

    def badges(self, row: Revision) -> list[Badge]:
        """Whether it is live."""
        return [Badge("live", "green")] if row.number == row.newest else []  # type: ignore[attr-defined]

    def title(self, row: Revision) -> str:
        """By its number."""
        return f"Revision {row.number}"

    def actions(self, row: Revision) -> list[Action]:
        """Back to it, unless it is live."""
        if row.number == row.newest:  # type: ignore[attr-defined]
            return []
        url = reverse("console:revisions-rollback", args=[row.pk])
        return [Action("Roll back to this", url, "history", Role.PUBLISHER)]

    def extra_urls(self) -> list[URLPattern]:
        """Rolling back, and the state of the nodes."""
        return [
            path("revisions/<int:pk>/rollback/", RollBack.as_view(), name="revisions-rollback"),
            path("revisions/<int:pk>/nodes/", NodesPart.as_view(), name="revisions-nodes"),
        ]
