"""How an App proves who it is."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from django.db import models
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone

from proxy.models.sync import IdentityRemoval, Synced, SyncedQuerySet


class Credential(Synced):
    """One proof of identity. Of a key there is only its keyed hash and what tells it from others by eye."""

    class Kind(models.TextChoices):
        """Only keys can be issued by now; the others have their place."""

        KEY = "key", "API key"
        JWT = "jwt", "JWT issuer and subject"
        BASIC = "basic", "user name and password"
        HMAC = "hmac", "HMAC signature"
        MTLS = "mtls", "client certificate"

    app = models.ForeignKey("proxy.App", on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.KEY)
    name = models.CharField(max_length=100, blank=True, help_text="What it is for, in the owner's words.")
    prefix = models.CharField(max_length=16, blank=True, db_index=True, editable=False)
    last_four = models.CharField(max_length=4, blank=True, editable=False)
    digest = models.BinaryField(max_length=16, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[Any] = SyncedQuerySet["Credential"].as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.prefix}…{self.last_four}"

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Credential:
        """As Django's; remembers the digest, by which the nodes know this row."""
        row = super().from_db(db, field_names, values, **options)
        row._stored_digest = bytes(row.digest) if "digest" in field_names else None
        return row

    _stored_digest: bytes | None = None

    def save(self, *args: Any, **options: Any) -> None:
        """As Django's. Raises ValueError for another digest: the nodes would keep the old one for ever."""
        if self._stored_digest is not None and bytes(self.digest) != self._stored_digest:
            raise ValueError("the digest of a Credential never changes; issue another Credential")
        super().save(*args, **options)
        if "digest" not in self.get_deferred_fields():
            self._stored_digest = bytes(self.digest)

    @property
    def usable(self) -> bool:
        """Neither revoked nor expired; its App may still be suspended."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


@receiver(post_delete, sender=Credential)
def _leave_trace(instance: Credential, using: str, **_: object) -> None:
    IdentityRemoval.record(IdentityRemoval.Kind.CREDENTIAL, bytes(instance.digest), using)
