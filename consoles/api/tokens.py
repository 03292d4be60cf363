"""Tokens for this API: made in the browser or by command, shown once."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from consoles import access, audit
from consoles.api.auth import OWN, may
from consoles.api.conditions import etag_of
from consoles.api.filters import Filter
from consoles.api.resource import Listed
from consoles.api.strict import ModelStrict, Strict
from consoles.models import ApiToken, Role
from consoles.models.api_token import Scope

MAX_TOKENS = 100
_ROLES = {role.label.lower(): role for role in Role}


class RoleField(serializers.ChoiceField):
    """A role by its word."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=list(_ROLES), **options)

    def to_internal_value(self, data: Any) -> Any:
        """The role."""
        return _ROLES[super().to_internal_value(data)]

    def to_representation(self, value: Any) -> str:
        """The word."""
        return Role(value).label.lower()


class TokenSerializer(ModelStrict):
    """What is known of a token. It acts as `user`, with its scopes, and at most with `role`."""

    user = serializers.SlugRelatedField(slug_field="username", read_only=True)
    role = RoleField(required=False, default=Role.VIEWER)

    class Meta:
        """Columns."""

        model = ApiToken
        shapes: ClassVar = {
            "scopes": {
                "type": "array",
                "items": {"type": "string", "enum": list(Scope.values)},
                "minItems": 1,
                "uniqueItems": True,
            }
        }
        fields = (
            "id",
            "user",
            "name",
            "prefix",
            "last_four",
            "scopes",
            "role",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
        )
        read_only_fields = ("prefix", "last_four", "created_at", "last_used_at", "revoked_at")

    def full_clean(self, row: Any, errors: Any) -> None:
        """The value and its hash come later."""
        row.full_clean(exclude={*errors, "digest", "user"}, validate_unique=False)

    def validate_beside(self, values: dict[str, Any]) -> dict[str, Any]:
        """Nobody gives more than they have."""
        if "role" in values and not access.may(self.context["request"].user, values["role"]):
            return {"role": [ErrorDetail("This is above your own role.", code="above")]}
        return {}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "For a pipeline",
            value={"name": "deploy", "scopes": ["read", "write", "publish"], "role": "publisher"},
            request_only=True,
        )
    ]
)
class NewTokenSerializer(TokenSerializer):
    """A token just made: `token` cannot be had again."""

    token = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        """Columns."""

        fields = (*TokenSerializer.Meta.fields, "token")


class Nothing(Strict):
    """Takes nothing."""


class TokenSet(Listed):
    """One's own tokens; owners see and revoke those of others. Cannot be used with a token."""

    tag = "Tokens"
    needs: ClassVar = dict.fromkeys(("list", "retrieve", "create", "revoke"), OWN)
    queryset = ApiToken.objects.select_related("user")
    serializer_class = TokenSerializer
    filters: ClassVar = {
        "user": Filter("user__username__exact", "Whose."),
        "current": Filter("revoked_at__isnull", "True for those that are not revoked.", "flag"),
    }
    orders: ClassVar = {"created_at": "created_at", "last_used_at": "last_used_at"}

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Those that the caller may know of."""
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False) or may(self.request, Role.OWNER):
            return rows
        return rows.filter(user=self.request.user)

    @extend_schema(request=NewTokenSerializer, responses={201: NewTokenSerializer})
    def create(self, request: Request) -> Response:
        """Make a token for oneself. It is in this one answer only."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        token: ApiToken = serializer.row
        token.user = request.user
        if ApiToken.objects.filter(user=request.user, revoked_at=None).count() >= MAX_TOKENS:
            reason = ErrorDetail(f"There are {MAX_TOKENS} already; revoke some.", code="too-many")
            raise ValidationError({"non_field_errors": [reason]})
        with transaction.atomic():
            made = token.issue()
            self.record(audit.Action.ISSUE, token, after=described(token))
        body = {**self.get_serializer(token).data, "token": made.value}
        return Response(body, 201, headers={"ETag": etag_of(token)})

    @extend_schema(request=Nothing, responses=TokenSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: int) -> Response:
        """Make it useless, for good; once is enough."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        with transaction.atomic():
            row = self.locked()
            if row.revoke():
                self.record(audit.Action.REVOKE, row)
            return self.shown(row)


def described(token: ApiToken) -> dict[str, Any]:
    """A token for the audit trail."""
    return {
        "user": token.user.get_username(),
        "name": token.name,
        "scopes": token.scopes,
        "role": Role(token.role).label,
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
    }
