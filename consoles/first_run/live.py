"""Making a step's change live at once, where that publishes nothing of somebody else's."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from consoles import access, audit
from consoles.models import Role
from consoles.ui.unpublished import unpublished_changes
from proxy.config.publish import publish
from proxy.models.base import Editable

LIVE = "Published: the gateway knows within a second."
ASK = "It is in the draft. Publishing takes the role Publisher: ask somebody who has it."
OTHERS = "It is in the draft beside other unpublished changes. Look at them all, then publish."


def keep(request: HttpRequest, row: Editable) -> None:
    """Store a new object of the draft, and that it was made."""
    row.save()
    audit.record(request, audit.Action.CREATE, row, after=audit.state_of(row))


def change(request: HttpRequest, row: Editable, **values: Any) -> None:
    """Set fields of an object of the draft, and store that they were changed."""
    before = audit.state_of(row)
    for name, value in values.items():
        setattr(row, name, value)
    row.full_clean()
    row.save()
    after = audit.state_of(row)
    if before != after:
        audit.record(request, audit.Action.UPDATE, row, before, after)


def is_alone() -> bool:
    """Whether nothing waits for a publish: to be asked before the change, in its transaction."""
    return unpublished_changes() == 0


def go_live(request: HttpRequest, alone: bool, note: str) -> str:
    """Publish, and say so or why not. Raises `PublishRefused`; then the caller rolls back."""
    if not access.may(request.user, Role.PUBLISHER):
        return ASK
    if not alone:
        return OTHERS
    publish_draft(request, note)
    return LIVE


def publish_draft(request: HttpRequest, note: str) -> None:
    """Publish the draft as the publish page does. Raises `PublishRefused`."""
    done = publish(note, request.user.get_username())
    changes: dict[str, tuple[Any, Any]] = {one.object: (None, one.kind) for one in done.changes[:100]}
    audit.record(request, audit.Action.PUBLISH, done.revision, extra=changes)
