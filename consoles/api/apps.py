"""Apps: the client programs that the gateway sees."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from consoles.api.filters import Filter
from consoles.api.references import Named
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict
from proxy.models import App, Developer


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "App", value={"name": "mobile", "title": "Mobile app", "groups": ["beta"]}, request_only=True
        )
    ]
)
class AppSerializer(ModelStrict):
    """A client program. Changes take effect within a second, without a publish."""

    developer = Named(
        slug_field="email",
        queryset=Developer.objects.all(),
        allow_null=True,
        required=False,
        help_text="E-mail address of the Developer it belongs to.",
    )

    class Meta:
        """Columns."""

        model = App
        shapes: ClassVar = {"groups": {"type": "array", "items": {"type": "string"}}}
        fields = ("id", "name", "title", "developer", "active", "groups", "created_at")
        read_only_fields = ("created_at",)


class AppSet(Edited):
    """Apps."""

    tag = "Apps"
    queryset = App.objects.select_related("developer")
    serializer_class = AppSerializer
    filters: ClassVar = {
        "name": Filter("name__exact", "The name."),
        "search": Filter("name__icontains", "Part of the name."),
        "developer": Filter("developer__email__exact", "E-mail address of its Developer."),
        "active": Filter("active__exact", "Active or suspended.", "flag"),
    }
    orders: ClassVar = {"name": "name", "created_at": "created_at"}
