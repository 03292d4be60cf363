"""AuditEntry: one thing that somebody did."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class AuditEntry(models.Model):
    """Who did what to which object, and what it changed; secrets are not in it. It is only ever added.

    `changes` is a list of `{"field", "before", "after"}`; values that are absent are null.
    """

    class Action(models.TextChoices):
        """What was done."""

        CREATE = "create", "created"
        UPDATE = "update", "changed"
        DELETE = "delete", "deleted"
        PUBLISH = "publish", "published"
        ROLLBACK = "rollback", "rolled back"
        ISSUE = "issue", "issued"
        ROLL = "roll", "rolled"
        REVOKE = "revoke", "revoked"
        APPROVE = "approve", "approved"
        REJECT = "reject", "rejected"
        SIGN_IN = "sign-in", "signed in"
        PASSWORD = "password", "changed the password of"

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=16, choices=Action.choices, db_index=True)
    kind = models.CharField(max_length=50, db_index=True)
    """The model's name in lower case: `api`, `route`, `credential`."""
    object_id = models.CharField(max_length=40, blank=True)
    object_name = models.CharField(max_length=200)
    changes = models.JSONField(default=list)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["kind", "object_id"])]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor_name} {self.get_action_display()} {self.kind} {self.object_name}"
