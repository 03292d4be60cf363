"""ApiToken: what a program shows to the Admin API in place of a session."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from consoles.models.membership import Role

PREFIX = "tga_"
VISIBLE = len(PREFIX) + 4
MAX_LENGTH = 128
USED_EVERY = datetime.timedelta(minutes=1)
"""`last_used_at` is that exact: not every call is a write."""


class Scope(models.TextChoices):
    """What a token is for; each call needs one of them, and the role as well."""

    READ = "read", "read everything"
    WRITE = "write", "change the draft, Apps, Developers and Subscriptions"
    PUBLISH = "publish", "publish and roll back"
    KEYS = "keys", "issue, roll and revoke keys"
    MEMBERS = "members", "see and manage the members of the console"


def validate_scopes(value: object) -> None:
    """Raise ValidationError unless `value` is a list of distinct scopes, at least one."""
    if not isinstance(value, list) or not value or len(set(map(str, value))) < len(value):
        raise ValidationError("Scopes are a list of distinct names, at least one.", code="scopes")
    for name in value:
        if name not in Scope.values:
            raise ValidationError(
                f"There is no such scope; there are {', '.join(Scope.values)}.", code="scopes"
            )


class NewToken(NamedTuple):
    """A token just made, and its value, which cannot be had again."""

    token: ApiToken
    value: str


class ApiToken(models.Model):
    """It acts as its account, with its scopes only and never above `role`, even if the account's is higher.

    Of the value only its SHA-256 is kept: it has 240 random bits, so nobody guesses it from that.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="What it is for.")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    prefix = models.CharField(max_length=VISIBLE, editable=False)
    last_four = models.CharField(max_length=4, editable=False)
    scopes = models.JSONField(validators=[validate_scopes])
    role = models.PositiveSmallIntegerField(choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…{self.last_four})"

    @property
    def usable(self) -> bool:
        """Neither revoked nor expired; its account may still be gone."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    def issue(self) -> NewToken:
        """Give it a value and store it."""
        value = PREFIX + secrets.token_hex(30)
        self.digest = digest_of(value)
        self.prefix, self.last_four = value[:VISIBLE], value[-4:]
        self.save()
        return NewToken(self, value)

    def revoke(self) -> bool:
        """Make it useless, for good. False if it was revoked already."""
        if self.revoked_at is not None:
            return False
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])
        return True

    @classmethod
    def find(cls, value: str) -> ApiToken | None:
        """The usable token of this value, with its account and membership; notes that it was used."""
        if not value.startswith(PREFIX) or len(value) > MAX_LENGTH or not value.isascii():
            return None
        rows = cls.objects.select_related("user__membership")
        token = rows.filter(digest=digest_of(value)).first()
        if token is None or not token.usable:
            return None
        token._note_use()
        return token

    def _note_use(self) -> None:
        now = timezone.now()
        if self.last_used_at is None or self.last_used_at < now - USED_EVERY:
            stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
            ApiToken.objects.filter(stale, pk=self.pk).update(last_used_at=now)


def digest_of(value: str) -> bytes:
    """The form in which a value is stored and found."""
    return hashlib.sha256(value.encode("ascii")).digest()
