"""Apis: the product surfaces."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from consoles.api.auth import READ, may
from consoles.api.conditions import etag_of
from consoles.api.filters import Filter
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict
from consoles.models import Role
from proxy.config import document
from proxy.models import Api


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Shop",
            value={"slug": "shop", "title": "Shop", "hosts": ["shop.example.com"], "base_path": "/v1"},
            request_only=True,
        )
    ]
)
class ApiSerializer(ModelStrict):
    """A product surface. `openapi` is written here and read at its own address."""

    class Meta:
        """Columns."""

        model = Api
        struct = document.Api
        fields = ("id", *Api.shared, "position", "edition", "created_at", "updated_at")
        read_only_fields = ("edition", "created_at", "updated_at")
        extra_kwargs: ClassVar[dict[str, Any]] = {"openapi": {"write_only": True}}


class OpenapiSerializer(serializers.Serializer[Any]):
    """The document as it was written."""

    openapi = serializers.CharField()


class ApiSet(Edited):
    """Apis."""

    tag = "Apis"
    needs: ClassVar = {**Edited.needs, "openapi": READ}
    queryset = Api.objects.all().defer("openapi")
    serializer_class = ApiSerializer
    filters: ClassVar = {
        "slug": Filter("slug__exact", "The slug."),
        "search": Filter("slug__icontains", "Part of the slug."),
        "lifecycle": Filter(
            "lifecycle__exact", "State of life.", "choice", ("draft", "published", "deprecated", "retired")
        ),
        "visibility": Filter("visibility__exact", "Place in the portal.", "choice", ("public", "private")),
    }
    orders: ClassVar = {"slug": "slug", "position": "position", "updated_at": "updated_at"}

    @extend_schema(responses=OpenapiSerializer)
    @action(detail=True, filter_backends=[])
    def openapi(self, request: Request, pk: int) -> Response:
        """The OpenAPI document; of an Api that is not public in the portal only for editors."""
        row = self.get_object()
        hidden = row.visibility != "public" or row.lifecycle == "draft"
        if hidden and not may(request, Role.EDITOR):
            raise PermissionDenied(f"The document of {row} is not public; this needs the role Editor.")
        return Response({"openapi": row.openapi}, headers={"ETag": etag_of(row)})
