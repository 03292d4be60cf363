"""Keeps the node's identity store in step with the database.

The store says which database it copies and up to which version. Changes above that version are applied,
and the version is written in the same commit as the last of them: killed at any point, the next run does
the rest again, which changes nothing twice. A database that went back, or another one, is copied anew.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q, QuerySet
from django.utils import timezone

from proxy.identity.issue import check_pepper
from proxy.identity.model import AppEntry, CredentialEntry
from proxy.identity.store import IdentityStore
from proxy.identity.writer import Changes
from proxy.models.app import App
from proxy.models.credential import Credential
from proxy.models.subscription import Subscription
from proxy.models.sync import IdentityRemoval, IdentityVersion

BATCH = 10_000
APPS_AT_ONCE = 500
KEEP_EXPIRED = datetime.timedelta(days=7)
"""So long a caller hears that the key has expired; afterwards it is unknown."""
KEEP_REMOVALS = datetime.timedelta(days=30)
HOUSEKEEPING_SECONDS = 3600.0

_CREDENTIAL = ("digest", "pk", "app_id", "kind", "expires_at")
_APP = ("pk", "name", "active", "developer_id", "developer__active", "groups")
_Item = TypeVar("_Item")


class IdentitySync:
    """Brings a writable store up to date with one database. Not for several threads at once."""

    def __init__(self, store: IdentityStore, database: str = DEFAULT_DB_ALIAS) -> None:
        self._store = store
        self._database = database
        self._kept = 0.0
        self._purged: datetime.datetime | None = None

    def run_once(self) -> int:
        """Apply what has changed; one query if nothing has. Returns the number of entries written.

        Raises what the database raises, IdentityUnavailable, or PepperError if the keys of this database
        are hashed under another pepper than this node's; the store then stays as it is.
        """
        version = IdentityVersion.current(self._database)
        check_pepper(bytes(version.pepper_check), self._store.digest)
        known = self._store.version()
        if self._store.origin() != str(version.database) or not version.floor <= known <= version.number:
            return self._copy(version)
        count = self._follow(known, version.number) if known < version.number else 0
        if not self._kept or time.monotonic() - self._kept > HOUSEKEEPING_SECONDS:
            self._keep_house()
        return count

    # --- Everything -----------------------------------------------------------------------------------

    def _copy(self, version: IdentityVersion) -> int:
        """In order of digest, for which the store needs least space. Later changes have later versions."""
        usable = Q(expires_at=None) | Q(expires_at__gt=timezone.now() - KEEP_EXPIRED)
        credentials = self._rows(Credential).filter(usable, revoked_at=None).order_by("digest")
        rows = credentials.values_list(*_CREDENTIAL).iterator(BATCH)
        return self._store.replace_all(
            self._every_app(),
            (_credential(row) for row in rows),
            version=version.number,
            origin=str(version.database),
        )

    def _every_app(self) -> Iterator[AppEntry]:
        ids = self._rows(App).order_by("pk").values_list("pk", flat=True).iterator(BATCH)
        for some in _batches(ids, APPS_AT_ONCE):
            yield from self._apps(some)

    # --- What has changed -----------------------------------------------------------------------------

    def _follow(self, known: int, upto: int) -> int:
        """Removals, then Apps, then Credentials, so that no key arrives before its App."""
        window = {"sync_version__gt": known, "sync_version__lte": upto}
        changes, count = Changes(), 0
        for part in self._parts(window):
            if len(changes) >= BATCH:
                self._store.apply(changes)
                count += len(changes)
                changes = Changes()
            changes.extend(part)
        self._store.apply(changes, upto)
        return count + len(changes)

    def _parts(self, window: dict[str, int]) -> Iterator[Changes]:
        """The changes in handy pieces."""
        kinds = IdentityRemoval.Kind
        concerned: set[int] = set()
        removals = self._rows(IdentityRemoval).filter(**window).order_by("sync_version")
        for kind, key in removals.values_list("kind", "key").iterator(BATCH):
            if kind == kinds.CREDENTIAL:
                yield Changes(removed_credentials=[bytes(key)])
            elif kind == kinds.APP:
                yield Changes(removed_apps=[bytes(key).decode()])
            else:
                concerned.add(int(bytes(key)))
        concerned.update(self._rows(App).filter(**window).values_list("pk", flat=True).iterator(BATCH))
        subscriptions = self._rows(Subscription).filter(**window)
        concerned.update(subscriptions.values_list("app_id", flat=True).iterator(BATCH))
        for some in _batches(sorted(concerned), APPS_AT_ONCE):
            yield Changes(apps=list(self._apps(some)))
        yield from self._changed_credentials(window)

    def _changed_credentials(self, window: dict[str, int]) -> Iterator[Changes]:
        long_ago = timezone.now() - KEEP_EXPIRED
        rows = self._rows(Credential).filter(**window).order_by("digest")
        for *row, revoked_at in rows.values_list(*_CREDENTIAL, "revoked_at").iterator(BATCH):
            digest, entry = _credential(tuple(row))
            if revoked_at is not None or (entry.expires and entry.expires < long_ago.timestamp()):
                yield Changes(removed_credentials=[digest])
            else:
                yield Changes(credentials=[(digest, entry)])

    def _apps(self, ids: list[int]) -> Iterator[AppEntry]:
        """Entries of these Apps, with the Plans of their accepted Subscriptions."""
        plans: dict[int, dict[str, str]] = {}
        accepted = self._rows(Subscription).filter(app__in=ids, status=Subscription.Status.ACCEPTED)
        for app_id, api, plan in accepted.order_by().values_list("app_id", "api__slug", "plan__name"):
            plans.setdefault(app_id, {})[api] = plan
        rows = self._rows(App).filter(pk__in=ids).order_by("pk")
        for pk, name, active, developer, developer_active, groups in rows.values_list(*_APP):
            yield AppEntry(
                id=str(pk),
                name=name,
                active=active and (developer is None or developer_active),
                groups=tuple(groups),
                plans=plans.get(pk, {}),
            )

    # --- Now and then ---------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        """Drop what expired long ago, and the traces of removals that every living node has seen."""
        self._kept = time.monotonic()
        long_ago = timezone.now() - KEEP_EXPIRED
        expired = self._rows(Credential).filter(expires_at__lte=long_ago)
        if self._purged is not None:
            expired = expired.filter(expires_at__gt=self._purged)
        digests = expired.order_by("digest").values_list("digest", flat=True).iterator(BATCH)
        for some in _batches(digests, BATCH):
            self._store.apply(Changes(removed_credentials=[bytes(digest) for digest in some]))
        self._purged = long_ago
        IdentityRemoval.prune(KEEP_REMOVALS, self._database)

    def _rows(self, model: type[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = model._default_manager.using(self._database)
        return rows


def _credential(row: tuple[Any, ...]) -> tuple[bytes, CredentialEntry]:
    digest, pk, app_id, kind, expires_at = row
    expires = 0.0 if expires_at is None else expires_at.timestamp()
    return bytes(digest), CredentialEntry(id=str(pk), app_id=str(app_id), kind=kind, expires=expires)


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
