"""How many changes the draft holds that are not live: for the pill on every page.

Comparing whole configurations on every page would be slow, so the number is kept until a row changes; one
small query tells.
"""

from __future__ import annotations

import hashlib

import msgspec
from django.contrib import messages
from django.core.cache import cache
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest

from proxy.config.difference import differences
from proxy.config.draft import draft_document
from proxy.config.publish import PublishRefused, live_document
from proxy.models import Api, Certificate, Gateway, Plan, Policy, Revision, Route, Target, Upstream

_TABLES: tuple[type[Model], ...] = (Gateway, Upstream, Target, Api, Route, Plan, Policy, Certificate)
_SIGNATURE = (
    "SELECT '{table}', COUNT(*), COALESCE(MAX(id), 0), COALESCE(SUM(edition), 0), "
    "MAX(CAST(updated_at AS TEXT)) FROM {table}"
)
_REVISIONS = (
    "SELECT '{table}', COUNT(*), COALESCE(MAX(number), 0), 0, MAX(CAST(created_at AS TEXT)) FROM {table}"
)
UNKNOWN = -1
"""The draft or the live configuration cannot be read; the publish page says why."""


def unpublished_changes() -> int:
    """How many objects differ between draft and live configuration."""
    seen = signature()
    found: int | None = cache.get(_key(seen))
    if found is None:
        found = _count()
        remember(seen, found)
    return found


def remember(seen: str, count: int) -> None:
    """So many objects differ in the draft with the signature `seen`: somebody has compared already."""
    cache.set(_key(seen), count, 3600)


def _key(seen: str) -> str:
    return f"tidegate:unpublished:{seen}"


def signature() -> str:
    """Changes whenever a row of the draft or the live revision does."""
    parts = [_SIGNATURE.format(table=table._meta.db_table) for table in _TABLES]
    parts.append(_REVISIONS.format(table=Revision._meta.db_table))
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        rows = cursor.fetchall()
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:32]


def still_as_seen(request: HttpRequest) -> bool:
    """Whether the draft is the one that the page of this form was made of; if not, the next page says so.

    Ask under the lock of the Gateway: of two who publish at once, the second one looks again.
    """
    if request.POST.get("seen") == signature():
        return True
    messages.warning(request, "The draft has changed since you looked at it. Look again, then publish.")
    return False


def _count() -> int:
    try:
        return len(differences(live_document(), draft_document()))
    except (PublishRefused, msgspec.ValidationError):
        return UNKNOWN
