"""The audit: who did what, when, from where, and what it changed."""

from __future__ import annotations

import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from consoles.models import AuditEntry
from consoles.ui.cells import Badge, Code, Link
from consoles.ui.family import Family
from consoles.ui.listing import Column, Filter
from consoles.ui.panels import Drawn, Facts
from consoles.ui.registry import families, family_of
from proxy.config.yaml_text import dump

_PERIODS = (("1", "last hour"), ("24", "last 24 hours"), ("168", "last 7 days"), ("720", "last 30 days"))
_COLOURS: dict[str, Any] = {
    "create": "green",
    "delete": "red",
    "revoke": "red",
    "publish": "purple",
    "rollback": "purple",
}


def _kinds() -> list[tuple[str, str]]:
    return sorted((family.model._meta.model_name or "", family.noun) for family in families().values())


def _actors() -> list[tuple[str, str]]:
    names = AuditEntry.objects.order_by("actor_name").values_list("actor_name", flat=True).distinct()[:200]
    return [(name, name) for name in names]


def _since(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    return rows.filter(at__gte=timezone.now() - datetime.timedelta(hours=int(value)))


def kind_of(row: AuditEntry) -> str:
    """The kind of object in the console's words."""
    family = family_of(row.kind)
    return family.noun if family else row.kind


def object_link(row: AuditEntry) -> Any:
    """The object by name, with a way to its page."""
    family = family_of(row.kind)
    if family is None or not row.object_id.isdigit() or row.action == "delete":
        return row.object_name
    return Link(family.url("detail", int(row.object_id)), row.object_name)


def _changes(row: AuditEntry, request: HttpRequest) -> dict[str, Any]:
    return {
        "changes": [(one["field"], _text(one.get("before")), _text(one.get("after"))) for one in row.changes]
    }


def _text(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, list):
        return "\n".join(str(one) for one in value)
    if isinstance(value, dict):
        return dump(value).strip()
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _written(row: AuditEntry) -> str:
    """All that it changed, as one text."""
    lines = [f"{one['field']}: {_text(one.get('before'))} → {_text(one.get('after'))}" for one in row.changes]
    return "; ".join(" ".join(line.split()) for line in lines)


class Audit(Family):
    """All entries."""

    model = AuditEntry
    path, noun, plural, many = "audit", "entry", "Audit", "entries"
    icon, section, place = "history", "Changes", 30
    summary = "Every change that somebody made in the console, with both values. Secrets are not in it."
    draft = creatable = editable = deletable = False
    search = ("object_name", "actor_name")
    order = ("-at", "-pk")
    columns = (
        Column("at", "When", lambda row: row.at, sort="at"),
        Column("actor_name", "Who", sort="actor_name"),
        Column(
            "action",
            "What",
            lambda row: Badge(row.get_action_display(), _COLOURS.get(row.action, "blue")),
            sort="action",
        ),
        Column("kind", "Kind", kind_of, sort="kind", wide=True),
        Column("object_name", "Object", object_link),
        Column(
            "fields", "Fields", lambda row: ", ".join(str(one["field"]) for one in row.changes[:4]), wide=True
        ),
        Column("address", "From", lambda row: Code(row.address or ""), wide=True, extra=True),
        Column("changes", "Changes", _written, wide=True, extra=True),
        Column("more", "Entry", lambda row: f"#{row.pk}", link=True),
    )
    filters = (
        Filter("kind", "Kind", _kinds),
        Filter("action", "Action", AuditEntry.Action.choices),
        Filter("actor", "Who", _actors, lookup="actor_name"),
        Filter("since", "When", _PERIODS, apply=_since),
        Filter("object", "Only object", (), lookup="object_id", free=True),
    )
    panels = (
        Facts(
            "Entry",
            lambda row: (
                ("When", row.at),
                ("Who", row.actor_name),
                ("From", Code(row.address or "")),
                ("What", Badge(row.get_action_display(), _COLOURS.get(row.action, "blue"))),
                ("Kind", kind_of(row)),
                ("Object", object_link(row)),
            ),
            wide=True,
        ),
        Drawn("What changed", "admin/audit_changes.html", _changes),
    )

    def title(self, row: AuditEntry) -> str:
        """In a sentence."""
        return f"{row.actor_name} {row.get_action_display()} {kind_of(row)} {row.object_name}"

    def name(self, row: AuditEntry) -> str:
        """By its number."""
        return f"#{row.pk}"
