"""A person in the portal, who registers Apps."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.utils import timezone


class Developer(models.Model):
    """Somebody who uses our Apis. One who is not active takes all their Apps out of service."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="developer",
        help_text="The account they sign in with.",
    )
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["email"]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **options: Any) -> None:
        """As Django's; the nodes read the Apps again, since whether they may call depends on us."""
        using = options.get("using") or self._state.db or DEFAULT_DB_ALIAS
        known = self.pk is not None
        with transaction.atomic(using=using):
            super().save(*args, **{**options, "using": using})
            if known:
                self.apps.using(using).touch()

    def clean(self) -> None:
        """One address is one person, in upper or lower case: the portal signs in by it."""
        if Developer.objects.exclude(pk=self.pk).filter(email__iexact=self.email).exists():
            raise ValidationError({"email": "There is a Developer of this address already."})
