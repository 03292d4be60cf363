"""`ETag` and `If-Match`: nobody overwrites what they have not seen (RFC 9110 sections 8.8.3 and 13.1.1)."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from consoles import audit
from consoles.api.errors import Changed, ConditionMissing
from consoles.models import Membership
from proxy.models.base import Editable
from proxy.models.plan import Plan
from proxy.models.sync import Synced
from proxy.models.upstream import Upstream


def etag_of(row: Any) -> str:
    """The edition of an object of the draft, the version of an identity, else a hash of what is stored.

    An Upstream's has those of its Targets in it, which are shown with it, and a Plan's what it is sold on.
    """
    if isinstance(row, Upstream):
        targets = sorted((target.pk, target.edition) for target in row.targets.all())
        return f'"{row.edition}-{_short(targets)}"'
    if isinstance(row, Plan):
        return f'"{row.edition}-{_short(sorted(api.slug for api in row.apis.all()))}"'
    if isinstance(row, Membership):
        return f'"{_short((row.role, row.temporary_password, row.user.is_active, row.user.email))}"'
    if isinstance(row, Editable):
        return f'"{row.edition}"'
    if isinstance(row, Synced):
        return f'"{row.sync_version}"'
    return f'"{_short(audit.state_of(row))}"'


def check_match(request: Request | HttpRequest, row: Any) -> None:
    """Raise unless the request says that it is about this state of the row."""
    sent = request.META.get("HTTP_IF_MATCH", "").strip()
    if not sent:
        raise ConditionMissing
    known = etag_of(row)
    parts = [part.strip().removeprefix("W/") for part in sent.split(",")]  # compression makes them weak
    if sent != "*" and known not in parts:
        raise Changed


def _short(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
