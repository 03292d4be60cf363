"""Routes: the match rules of Apis."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from consoles.api.filters import Filter
from consoles.api.references import Named
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict
from proxy.config import document
from proxy.models import Api, Route, Upstream


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "List of products",
            value={
                "name": "products-list",
                "api": "shop",
                "path_kind": "prefix",
                "path": "/products",
                "methods": ["GET"],
                "upstream": "products",
            },
            request_only=True,
        )
    ]
)
class RouteSerializer(ModelStrict):
    """A match rule and where it goes: `upstream` or `redirect`."""

    api = Named(slug_field="slug", queryset=Api.objects.only("id", "slug"), help_text="Slug of its Api.")
    upstream = Named(
        slug_field="name",
        queryset=Upstream.objects.only("id", "name"),
        allow_null=True,
        required=False,
        help_text="Name of its Upstream, null with a redirect.",
    )

    class Meta:
        """Columns."""

        model = Route
        struct = document.Route
        fields = (
            "id",
            "api",
            "path_kind",
            "path",
            "upstream",
            *Route.shared,
            "position",
            "edition",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("edition", "created_at", "updated_at")


class RouteSet(Edited):
    """Routes."""

    tag = "Routes"
    queryset = Route.objects.select_related("api", "upstream").defer("api__openapi", "api__description")
    serializer_class = RouteSerializer
    filters: ClassVar = {
        "name": Filter("name__exact", "The name."),
        "search": Filter("name__icontains", "Part of the name."),
        "api": Filter("api__slug__exact", "Slug of the Api."),
        "upstream": Filter("upstream__name__exact", "Name of the Upstream."),
        "enabled": Filter("enabled__exact", "In service or not.", "flag"),
    }
    orders: ClassVar = {"name": "name", "position": "position", "updated_at": "updated_at"}
