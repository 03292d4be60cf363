"""Members of the console: who may sign in, and as what. For owners, e-mail addresses included."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.db import transaction
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from consoles import access, audit
from consoles.api.auth import MEMBERS
from consoles.api.conditions import check_match
from consoles.api.errors import Conflict
from consoles.api.filters import Filter
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict, Strict
from consoles.api.tokens import RoleField
from consoles.models import Membership, Role

User = get_user_model()
LAST = "This is the last owner who may sign in. Make somebody else an owner first."


class MemberSerializer(ModelStrict):
    """A member. One who is not `active` may not sign in, nor use a token; `username` and `email` stay."""

    username = serializers.CharField(source="user.username", read_only=True)
    email = serializers.CharField(source="user.email", read_only=True)
    active = serializers.BooleanField(source="user.is_active", required=False)
    role = RoleField(required=False)
    last_signed_in = serializers.DateTimeField(source="user.last_login", read_only=True, allow_null=True)
    beside: ClassVar = frozenset({"active"})

    class Meta:
        """Columns."""

        model = Membership
        fields = ("id", "username", "email", "role", "active", "temporary_password", "last_signed_in")
        read_only_fields = ("temporary_password",)

    def store(self, values: dict[str, Any]) -> Any:
        """Membership and account. Raises Conflict if no owner would be left."""
        row = self.row
        active = values.get("active", row.user.is_active)
        if not (row.role == Role.OWNER and active) and access.is_last_owner(row):
            raise Conflict(LAST)
        row.user.is_active = active
        row.user.save(update_fields=["is_active"])
        return super().store(values)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Editor",
            value={"username": "grace", "email": "grace@example.com", "role": "editor"},
            request_only=True,
        )
    ]
)
class NewMemberSerializer(Strict):
    """Somebody new. The answer holds a generated `password`, which cannot be had again."""

    username = serializers.CharField(max_length=150, validators=[User.username_validator])
    email = serializers.EmailField(max_length=254, required=False, default="", allow_blank=True)
    role = RoleField(required=False, default=Role.VIEWER)

    def validate_username(self, value: str) -> str:
        """Not that of another account, in the form in which it is stored."""
        value = User.normalize_username(value)
        if len(value) > 150:
            raise ValidationError([ErrorDetail("Is longer than 150 characters.", code="max_length")])
        if User.objects.filter(username__iexact=value).exists():
            raise ValidationError([ErrorDetail("There is an account of this name already.", code="unique")])
        return value


class MadeMemberSerializer(MemberSerializer):
    """A member with the password that was just generated."""

    password = serializers.CharField(read_only=True)

    class Meta(MemberSerializer.Meta):
        """Columns."""

        fields = (*MemberSerializer.Meta.fields, "password")


class Nothing(Strict):
    """Takes nothing."""


class MemberSet(Edited):
    """Members of the console. Removing one takes the role away; the account and its traces stay."""

    tag = "Members"
    needs: ClassVar = dict.fromkeys((*Edited.needs, "password"), MEMBERS)
    queryset = Membership.objects.select_related("user")
    serializer_class = MemberSerializer
    filters: ClassVar = {
        "username": Filter("user__username__exact", "The name."),
        "search": Filter("user__username__icontains", "Part of the name."),
        "active": Filter("user__is_active__exact", "May sign in.", "flag"),
    }
    orders: ClassVar = {"username": "user__username", "role": "role"}

    @extend_schema(request=NewMemberSerializer, responses={201: MadeMemberSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make an account with a generated password, which is in this one answer only."""
        given = NewMemberSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        data = given.validated_data
        with transaction.atomic():
            made = access.add_member(data["username"], Role(data["role"]), data["email"])
            row = made.membership
            self.record(audit.Action.CREATE, row, after=audit.state_of(row))
            response = self.shown(row, 201, password=made.password)
        response["Location"] = f"{request.path.rstrip('/')}/{row.pk}"
        return response

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take the role away. The last owner stays."""
        with transaction.atomic():
            row = self.locked()
            check_match(request, row)
            if access.is_last_owner(row):
                raise Conflict(LAST)
            return super().destroy(request, *args, **kwargs)

    @extend_schema(request=Nothing, responses=MadeMemberSerializer)
    @action(detail=True, methods=["post"])
    def password(self, request: Request, pk: int) -> Response:
        """Generate a new password, which is in this one answer only; the member's sessions end."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        with transaction.atomic():
            row = self.locked()
            password = access.new_password(row)
            self.record(audit.Action.PASSWORD, row.user)
            return self.shown(row, password=password)
