"""Writes down who did what, before and after, without secrets: used by pages, the Admin API and commands."""

from __future__ import annotations

import re
from typing import Any

from django.db import models
from django.http import HttpRequest

from consoles.models import AuditEntry
from proxy.models.base import Editable

Action = AuditEntry.Action
State = dict[str, Any]
MAX_TEXT = 2000
MAX_ITEMS = 20
_BOOKKEEPING = {"id", "edition", "created_at", "updated_at", "sync_version", "last_login", "date_joined"}
_SECRET_FIELDS = {"certificate": {"key"}, "credential": {"digest"}, "user": {"password"}}
_SECRET_NAME = re.compile(r"(?i)(secret|password|passphrase|private_key|token$|credential$)")
HIDDEN = "(secret)"


def state_of(row: models.Model) -> State:
    """The row's fields as plain data, references by name; what is secret only says that it is there."""
    secret = _SECRET_FIELDS.get(row._meta.model_name or "", set())
    found: State = {}
    for field in row._meta.concrete_fields:
        if field.name in _BOOKKEEPING:
            continue
        value = getattr(row, field.name)
        if field.name in secret:
            found[field.name] = HIDDEN if value else ""
        else:
            found[field.name] = _plain(value)
    if isinstance(row, Editable):
        found.update(row.named_relations())
    return found


def record(
    request: HttpRequest,
    action: str,
    row: models.Model,
    before: State | None = None,
    after: State | None = None,
    *,
    extra: dict[str, tuple[Any, Any]] | None = None,
    name: str = "",
) -> AuditEntry:
    """Add an entry in the caller's transaction, so that no change is without one.

    `extra` are further changes by name, for what two states do not show, as a replaced secret.
    """
    changes = difference(before or {}, after or {})
    for field, (old, new) in (extra or {}).items():
        changes.append({"field": field, "before": _plain(old), "after": _plain(new)})
    user = request.user if request.user.is_authenticated else None
    return AuditEntry.objects.create(
        actor=user,
        actor_name=str(user.get_username() if user else "nobody")[:200],
        action=action,
        kind=row._meta.model_name or "",
        object_id=str(row.pk or ""),
        object_name=(name or str(row))[:200],
        changes=changes,
        address=request.META.get("REMOTE_ADDR") or None,
    )


def difference(before: State, after: State) -> list[dict[str, Any]]:
    """The fields that differ, with both values; of a new or deleted object those that hold anything."""
    found = []
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old != new and not (_empty(old) and _empty(new)):
            old, new = _shortened(old, new), _shortened(new, old)
            found.append({"field": name, "before": old, "after": new})
    return found


def _shortened(value: Any, other: Any) -> Any:
    """A long list without what the other one has as well."""
    if not isinstance(value, list) or not isinstance(other, list) or len(value) <= MAX_ITEMS:
        return value
    known = set(map(str, other))
    own = [item for item in value if str(item) not in known]
    return [*own, f"… and {len(value) - len(own)} more that are the same"]


def _empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            str(key): HIDDEN if item and _SECRET_NAME.search(str(key)) else _plain(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"
