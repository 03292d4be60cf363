"""How identity reaches the nodes: one rising number, stamped on every row that changes.

A node asks for the rows whose `sync_version` is above the one it has. That is right only if versions become
visible in the order of their numbers, so the number is taken under the lock of one row, which is held
until the transaction ends: whoever has a higher number commits later.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from typing import Any, Self, TypeVar

from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.db.models import F
from django.utils import timezone

SINGLETON = 1


class IdentityVersion(models.Model):
    """The one row that counts changes of identity; `database` tells this database from every other one."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLETON, editable=False)
    number = models.BigIntegerField(default=0)
    floor = models.BigIntegerField(default=0)
    """Removals up to this version are forgotten: a node that has less reads everything again."""
    database = models.UUIDField(default=uuid.uuid4, editable=False)
    pepper_check = models.BinaryField(max_length=16, default=b"", blank=True, editable=False)
    """A hash under the pepper that keys are issued with; a node that has another pepper finds out."""

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=SINGLETON), name="identity_version_is_one_row"),
        ]

    def __str__(self) -> str:
        return f"identity version {self.number}"

    @staticmethod
    def current(using: str = DEFAULT_DB_ALIAS) -> IdentityVersion:
        """The row as it is committed now; made if this database is new."""
        rows = IdentityVersion.objects.using(using)
        row = rows.filter(pk=SINGLETON).first()
        if row is None:
            rows.bulk_create([IdentityVersion()], ignore_conflicts=True)
            row = rows.get(pk=SINGLETON)
        return row

    @staticmethod
    def renew(using: str = DEFAULT_DB_ALIAS) -> None:
        """Have every node copy everything anew, as after a backup was restored."""
        IdentityVersion.current(using)
        IdentityVersion.objects.using(using).filter(pk=SINGLETON).update(database=uuid.uuid4())


def next_version(using: str = DEFAULT_DB_ALIAS) -> int:
    """Take the next version and its lock; only inside a transaction, which keeps the lock to its end."""
    if not transaction.get_connection(using).in_atomic_block:
        raise transaction.TransactionManagementError("an identity version is taken inside a transaction")
    rows = IdentityVersion.objects.using(using).filter(pk=SINGLETON)
    if not rows.update(number=F("number") + 1):
        IdentityVersion.objects.using(using).bulk_create([IdentityVersion()], ignore_conflicts=True)
        rows.update(number=F("number") + 1)
    return rows.values_list("number", flat=True).get()


class IdentityRemoval(models.Model):
    """The trace of a deleted row, which could not carry a version itself."""

    class Kind(models.TextChoices):
        """What was deleted; `key` is a Credential's digest, or the id of the App concerned in ASCII."""

        CREDENTIAL = "credential"
        APP = "app"
        SUBSCRIPTION = "subscription"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    key = models.BinaryField(max_length=64)
    sync_version = models.BigIntegerField(db_index=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"removed {self.kind} at version {self.sync_version}"

    @classmethod
    def record(cls, kind: Kind, key: bytes, using: str = DEFAULT_DB_ALIAS) -> None:
        """Leave a trace in the transaction that deletes."""
        with transaction.atomic(using=using):
            cls.objects.using(using).create(kind=kind, key=key, sync_version=next_version(using))

    @classmethod
    def prune(cls, older_than: datetime.timedelta, using: str = DEFAULT_DB_ALIAS) -> int:
        """Forget old traces; a node that was away for longer reads everything again. Returns how many."""
        with transaction.atomic(using=using):
            old = cls.objects.using(using).filter(created_at__lt=timezone.now() - older_than)
            floor = old.aggregate(top=models.Max("sync_version"))["top"]
            if floor is None:
                return 0
            IdentityVersion.objects.using(using).filter(pk=SINGLETON).update(floor=floor)
            return old.filter(sync_version__lte=floor).delete()[0]


Row = TypeVar("Row", bound="Synced", covariant=True)


class SyncedQuerySet(models.QuerySet[Row, Row]):
    """Stamps what changes many rows at once; one call is one version, be it a million rows."""

    def update(self, **values: Any) -> int:
        """As Django's, with the version."""
        self._for_write = True
        with transaction.atomic(using=self.db):
            return super().update(**values, sync_version=next_version(self.db))

    update.alters_data = True  # type: ignore[attr-defined]

    def touch(self) -> int:
        """Have the nodes read these rows again, for something they are made of has changed."""
        return self.update()

    touch.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Row], *args: Any, **options: Any) -> list[Row]:
        """As Django's, with the version."""
        self._for_write = True
        rows = list(objs)
        with transaction.atomic(using=self.db):
            version = next_version(self.db)
            for row in rows:
                row.sync_version = version
            return super().bulk_create(rows, *args, **options)

    bulk_create.alters_data = True  # type: ignore[attr-defined]


class Synced(models.Model):
    """A row that the nodes hold a copy of; every way of changing it stamps the next version."""

    sync_version = models.BigIntegerField(default=0, db_index=True, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **options: Any) -> None:
        """As Django's, with the version, in one transaction."""
        using = options.get("using") or self._state.db or DEFAULT_DB_ALIAS
        fields = options.get("update_fields")
        if fields is not None:
            options["update_fields"] = {*fields, "sync_version"}
        with transaction.atomic(using=using):
            self.sync_version = next_version(using)
            super().save(*args, **{**options, "using": using})

    @classmethod
    def changed_since(cls, version: int, upto: int, using: str) -> models.QuerySet[Self]:
        """Rows stamped above `version`, up to `upto`."""
        rows = cls._default_manager.using(using)
        return rows.filter(sync_version__gt=version, sync_version__lte=upto)
