"""Subscriptions: what Apps may call, and the decisions about that."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from consoles import audit
from consoles.api.auth import WRITE
from consoles.api.errors import Conflict
from consoles.api.filters import Filter
from consoles.api.references import Named
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict, Strict
from proxy.models import Api, App, Plan, Subscription

Status = Subscription.Status
_FROM = {
    "approve": {Status.PENDING},
    "reject": {Status.PENDING},
    "pause": {Status.ACCEPTED},
    "resume": {Status.PAUSED},
    "close": {Status.PENDING, Status.ACCEPTED, Status.PAUSED},
}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Subscription", value={"app": "mobile", "api": "shop", "plan": "gold"}, request_only=True
        )
    ]
)
class SubscriptionSerializer(ModelStrict):
    """An App's use of an Api under a Plan. A Plan with automatic approval accepts it at once."""

    app = Named(slug_field="name", queryset=App.objects.all(), help_text="Name of the App.")
    api = Named(slug_field="slug", queryset=Api.objects.only("id", "slug"), help_text="Slug of the Api.")
    plan = Named(slug_field="name", queryset=Plan.objects.all(), help_text="Name of the Plan.")

    class Meta:
        """Columns."""

        model = Subscription
        fields = ("id", "app", "api", "plan", "status", "created_at", "decided_at")
        read_only_fields = ("status", "created_at", "decided_at")

    def prepare(self, row: Any) -> None:
        """What the Plan decides by itself."""
        if row.plan_id and (row.pk is None or row.status == Status.PENDING) and row.plan.approval == "auto":
            row.status, row.decided_at = Status.ACCEPTED, timezone.now()


class Decision(Strict):
    """Takes nothing."""


class SubscriptionSet(Edited):
    """Subscriptions. Decisions take effect within a second, without a publish."""

    tag = "Subscriptions"
    needs: ClassVar = {**Edited.needs, **dict.fromkeys(_FROM, WRITE)}
    queryset = Subscription.objects.select_related("app", "api", "plan").defer("api__openapi")
    serializer_class = SubscriptionSerializer
    filters: ClassVar = {
        "app": Filter("app__name__exact", "Name of the App."),
        "api": Filter("api__slug__exact", "Slug of the Api."),
        "plan": Filter("plan__name__exact", "Name of the Plan."),
        "status": Filter("status__exact", "Where it stands.", "choice", tuple(Status.values)),
    }
    orders: ClassVar = {"created_at": "created_at", "decided_at": "decided_at"}

    @extend_schema(request=Decision, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: int) -> Response:
        """Accept a pending one."""
        return self._decide(request, Status.ACCEPTED, audit.Action.APPROVE)

    @extend_schema(request=Decision, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: int) -> Response:
        """Refuse a pending one."""
        return self._decide(request, Status.REJECTED, audit.Action.REJECT)

    @extend_schema(request=Decision, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: int) -> Response:
        """Take an accepted one out of service."""
        return self._decide(request, Status.PAUSED, audit.Action.UPDATE)

    @extend_schema(request=Decision, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: int) -> Response:
        """Let a paused one go on."""
        return self._decide(request, Status.ACCEPTED, audit.Action.UPDATE)

    @extend_schema(request=Decision, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: int) -> Response:
        """End it; it stays as history."""
        return self._decide(request, Status.CLOSED, audit.Action.UPDATE)

    def _decide(self, request: Request, status: str, action: str) -> Response:
        Decision(data=request.data).is_valid(raise_exception=True)
        with transaction.atomic():
            row = self.locked()
            if row.status not in _FROM[self.action]:
                raise Conflict(f"It is {row.status}: there is nothing to {self.action}.")
            before = audit.state_of(row)
            row.status, row.decided_at = status, timezone.now()
            row.save(update_fields=["status", "decided_at"])
            self.record(action, row, before=before, after=audit.state_of(row))
            return self.shown(row)
