"""API keys of Apps: each is in the one answer that issues it, and nowhere else."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django.db import transaction
from django_ratelimit.core import is_ratelimited
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from consoles import audit
from consoles.api.auth import KEYS, READ
from consoles.api.errors import Conflict, TooOften
from consoles.api.filters import Filter
from consoles.api.references import Named
from consoles.api.resource import Updated
from consoles.api.strict import ModelStrict, Strict
from proxy.identity.issue import KeyRefused, issue_key, revoke_key, roll_key
from proxy.identity.keys import PepperError
from proxy.models import App, Credential

ISSUED_AT_MOST = "120/m"
MAX_OVERLAP = 90 * 86_400
DAY = 86_400


class KeySerializer(ModelStrict):
    """What is known of a key. `status` is active, expired or revoked."""

    app = Named(slug_field="name", queryset=App.objects.all(), help_text="Name of the App; it stays.")
    status = serializers.SerializerMethodField()

    class Meta:
        """Columns."""

        model = Credential
        fields = (
            "id",
            "app",
            "name",
            "prefix",
            "last_four",
            "status",
            "created_at",
            "expires_at",
            "revoked_at",
        )
        read_only_fields = ("prefix", "last_four", "created_at", "revoked_at")

    def get_status(self, row: Credential) -> str:
        """In one word."""
        if row.revoked_at is not None:
            return "revoked"
        return "active" if row.usable else "expired"

    def full_clean(self, row: Any, errors: Any) -> None:
        """The digest is not there before the key is issued."""
        row.full_clean(exclude={*errors, "digest"}, validate_unique=False)

    def prepare(self, row: Any) -> None:
        """A key stays with its App."""
        if row.pk and Credential.objects.values_list("app_id", flat=True).get(pk=row.pk) != row.app_id:
            raise ValidationError({"app": [ErrorDetail("A key stays with its App.", code="fixed")]})


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Issued",
            value={"id": 7, "app": "mobile", "name": "ci", "prefix": "tg_0a1b2", "key": "tg_0a1b2…"},
            response_only=True,
        )
    ]
)
class IssuedSerializer(KeySerializer):
    """A key just issued: `key` cannot be had again."""

    key = serializers.CharField(read_only=True)

    class Meta(KeySerializer.Meta):
        """Columns."""

        fields = (*KeySerializer.Meta.fields, "key")


class RollInput(Strict):
    """How long the old key goes on, in seconds."""

    overlap_seconds = serializers.IntegerField(min_value=0, max_value=MAX_OVERLAP, default=DAY)


class Nothing(Strict):
    """Takes nothing."""


class KeySet(Updated):
    """API keys. All takes effect within a second, without a publish."""

    tag = "Keys"
    needs: ClassVar = {
        "list": READ,
        "retrieve": READ,
        **dict.fromkeys(("create", "update", "partial_update", "roll", "revoke"), KEYS),
    }
    queryset = Credential.objects.filter(kind=Credential.Kind.KEY).select_related("app")
    serializer_class = KeySerializer
    filters: ClassVar = {
        "app": Filter("app__name__exact", "Name of the App."),
        "prefix": Filter("prefix__startswith", "Beginning of the key, as shown."),
        "current": Filter("revoked_at__isnull", "True for those that are not revoked.", "flag"),
        "expires_before": Filter("expires_at__lt", "Expires before this time.", "time"),
    }
    orders: ClassVar = {"created_at": "created_at", "expires_at": "expires_at"}

    @extend_schema(responses={201: IssuedSerializer})
    def create(self, request: Request) -> Response:
        """Issue a key for an App. It is in this one answer only."""
        self._not_too_often(request)
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row = serializer.row
        try:
            with transaction.atomic():
                made, raw = issue_key(row.app, name=row.name, expires_at=row.expires_at)
                self.record(audit.Action.ISSUE, made, after=audit.state_of(made))
        except (KeyRefused, PepperError) as refused:
            raise Conflict(str(refused)) from None
        return self.shown(made, 201, key=raw)

    @extend_schema(request=RollInput, responses={201: IssuedSerializer})
    @action(detail=True, methods=["post"])
    def roll(self, request: Request, pk: int) -> Response:
        """A new key in its place; the old one goes on for the overlap."""
        self._not_too_often(request)
        given = RollInput(data=request.data)
        given.is_valid(raise_exception=True)
        overlap = datetime.timedelta(seconds=given.validated_data["overlap_seconds"])
        with transaction.atomic():
            row = self.locked()
            try:
                fresh, raw = roll_key(row, overlap)
            except (KeyRefused, PepperError) as refused:
                raise Conflict(str(refused)) from None
            self.record(audit.Action.ROLL, row, extra={"replaced by": (None, str(fresh))})
        return self.shown(fresh, 201, key=raw)

    @extend_schema(request=Nothing, responses=KeySerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: int) -> Response:
        """Make it unknown everywhere, for good; once is enough."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        with transaction.atomic():
            row = self.locked()
            if revoke_key(row):
                self.record(audit.Action.REVOKE, row)
            return self.shown(row)

    def _not_too_often(self, request: Request) -> None:
        if is_ratelimited(request, group="api-keys", key="user", rate=ISSUED_AT_MOST, increment=True):
            raise TooOften
