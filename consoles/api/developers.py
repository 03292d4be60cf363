"""Developers: the people of the portal."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from consoles.api.filters import Filter
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict
from proxy.models import Developer


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Developer", value={"email": "ada@example.com", "name": "Ada", "active": True}, request_only=True
        )
    ]
)
class DeveloperSerializer(ModelStrict):
    """Somebody who registers Apps; one who is not active takes them all out of service."""

    class Meta:
        """Columns."""

        model = Developer
        fields = ("id", "email", "name", "active", "created_at")
        read_only_fields = ("created_at",)


class DeveloperSet(Edited):
    """Developers."""

    tag = "Developers"
    queryset = Developer.objects.all()
    serializer_class = DeveloperSerializer
    filters: ClassVar = {
        "email": Filter("email__iexact", "The e-mail address."),
        "search": Filter("email__icontains", "Part of the e-mail address."),
        "active": Filter("active__exact", "Active or suspended.", "flag"),
    }
    orders: ClassVar = {"email": "email", "created_at": "created_at"}
