"""The client program that the gateway sees: the Consumer of other gateways."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone

from proxy.models.sync import IdentityRemoval, Synced, SyncedQuerySet

MAX_GROUPS = 64
MAX_GROUP_LENGTH = 100


def validate_groups(value: object) -> None:
    """Raise ValidationError unless `value` is a list of distinct, short, non-empty names."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValidationError("Groups are a list of names.", code="groups")
    if len(value) > MAX_GROUPS:
        raise ValidationError(f"An App is in {MAX_GROUPS} groups at most.", code="groups")
    for name in value:
        if not name.strip() or len(name) > MAX_GROUP_LENGTH or not name.isprintable():
            raise ValidationError(
                f"A group is named by 1 to {MAX_GROUP_LENGTH} printable characters.", code="groups"
            )
    if len(set(value)) < len(value):
        raise ValidationError("A group is named twice.", code="groups")


class App(Synced):
    """A client program. Its Credentials prove who it is, its Subscriptions say what it may call."""

    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(
                r"\A[a-z0-9][a-z0-9._-]*\Z",
                "Use lower case letters, digits, dot, underscore and dash; begin with a letter or digit.",
            )
        ],
    )
    title = models.CharField(max_length=200, blank=True)
    developer = models.ForeignKey(
        "proxy.Developer", on_delete=models.PROTECT, null=True, blank=True, related_name="apps"
    )
    active = models.BooleanField(default=True, help_text="An App that is not active is refused everywhere.")
    groups = models.JSONField(default=list, blank=True, validators=[validate_groups])
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[Any] = SyncedQuerySet["App"].as_manager()

    class Meta:
        ordering = ["name"]

    def clean(self) -> None:
        """A name that policies go by stays: the draft would follow it, and what is live would not."""
        stored = App.objects.filter(pk=self.pk).values_list("name", flat=True).first()
        if stored not in (None, self.name) and self.policies.exists():
            raise ValidationError(
                {"name": "It has policies of its own: its name stays. Change its title instead."}
            )

    def __str__(self) -> str:
        return self.title or self.name


@receiver(post_delete, sender=App)
def _leave_trace(instance: App, using: str, **_: object) -> None:
    IdentityRemoval.record(IdentityRemoval.Kind.APP, str(instance.pk).encode(), using)
