"""Plans: limits and quota sold as one name."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from consoles.api.filters import Filter
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict
from proxy.config import document
from proxy.models import Plan


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Gold", value={"name": "gold", "title": "Gold", "approval": "manual"}, request_only=True
        )
    ]
)
class PlanSerializer(ModelStrict):
    """What a Subscription is to; its limits are the policies attached to it."""

    class Meta:
        """Columns."""

        model = Plan
        struct = document.Plan
        fields = ("id", *Plan.shared, "edition", "created_at", "updated_at")
        read_only_fields = ("edition", "created_at", "updated_at")


class PlanSet(Edited):
    """Plans."""

    tag = "Plans"
    queryset = Plan.objects.all()
    serializer_class = PlanSerializer
    filters: ClassVar = {
        "name": Filter("name__exact", "The name."),
        "search": Filter("name__icontains", "Part of the name."),
        "approval": Filter("approval__exact", "Who approves.", "choice", ("auto", "manual")),
    }
    orders: ClassVar = {"name": "name", "updated_at": "updated_at"}
