"""An App's approved use of an Api under a Plan."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models, router
from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import receiver
from django.utils import timezone

from proxy.models.sync import IdentityRemoval, Synced, SyncedQuerySet


class Subscription(Synced):
    """The Plan under which an App uses an Api; only an accepted one counts at the gateway."""

    class Status(models.TextChoices):
        """Pending until somebody decides; a paused one may go on, a closed one is history."""

        PENDING = "pending"
        ACCEPTED = "accepted"
        REJECTED = "rejected"
        PAUSED = "paused"
        CLOSED = "closed"

    app = models.ForeignKey("proxy.App", on_delete=models.CASCADE, related_name="subscriptions")
    api = models.ForeignKey("proxy.Api", on_delete=models.CASCADE, related_name="subscriptions")
    plan = models.ForeignKey("proxy.Plan", on_delete=models.PROTECT, related_name="subscriptions")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[Any] = SyncedQuerySet["Subscription"].as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["app", "api"],
                condition=models.Q(status__in=["pending", "accepted", "paused"]),
                name="subscription_one_live_per_app_and_api",
                violation_error_message="This App has a Subscription to this Api already.",
            ),
        ]

    LIVE = (Status.PENDING, Status.ACCEPTED, Status.PAUSED)
    """Those that there is one of for an App and an Api, at most."""

    def clean(self) -> None:
        """A Plan is sold on its Apis only; what was subscribed when it was stays so."""
        if self.api_id is None or self.plan_id is None or self.plan.sells(self.api):
            return
        was = type(self).objects.filter(pk=self.pk).values_list("api_id", "plan_id").first()
        if was != (self.api_id, self.plan_id):
            raise ValidationError({"plan": f"{self.plan} is not sold on {self.api}."})

    def __str__(self) -> str:
        return f"{self.app} to {self.api} under {self.plan} ({self.status})"


@receiver(post_delete, sender=Subscription)
def _leave_trace(instance: Subscription, using: str, **_: object) -> None:
    IdentityRemoval.record(IdentityRemoval.Kind.SUBSCRIPTION, str(instance.app_id).encode(), using)


def check_name(row: Any, field: str) -> None:
    """Raise ValidationError for another name of what Apps are subscribed to.

    The nodes know it by that name: of Subscriptions they hear at once, of the draft with the next publish. What
    is between would be no Subscription to what is live.
    """
    stored = type(row)._default_manager.filter(pk=row.pk).values_list(field, flat=True).first()
    if (
        stored in (None, getattr(row, field))
        or not row.subscriptions.filter(status__in=Subscription.LIVE).exists()
    ):
        return
    raise ValidationError(
        {field: f"Apps are subscribed to {stored}: its name stays. Change its title instead."}
    )


_NAMED_BY = {"api": "slug", "plan": "name"}
"""What the nodes know an Api and a Plan by."""


@receiver(pre_save, sender="proxy.Api")
@receiver(pre_save, sender="proxy.Plan")
def _notice_rename(sender: type[models.Model], instance: Any, using: str | None, **_: object) -> None:
    field = _NAMED_BY[sender._meta.model_name or ""]
    rows = sender._default_manager.using(using or router.db_for_write(sender, instance=instance))
    others = rows.filter(pk=instance.pk).exclude(**{field: getattr(instance, field)})
    instance._renamed = instance.pk is not None and others.exists()


@receiver(post_save, sender="proxy.Api")
@receiver(post_save, sender="proxy.Plan")
def _follow_rename(instance: Any, using: str, **_: object) -> None:
    if instance._renamed:
        instance.subscriptions.using(using).touch()
