"""Plans: limits and quota sold as one name."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Prefetch
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from consoles.api.filters import Filter
from consoles.api.references import NamedMany
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict
from proxy.config import document
from proxy.models import Api, Plan


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Gold",
            value={"name": "gold", "title": "Gold", "approval": "manual", "apis": ["shop"]},
            request_only=True,
        )
    ]
)
class PlanSerializer(ModelStrict):
    """What a Subscription is to; its limits are the policies attached to it.

    A new Plan without `apis` is sold on all Apis that there are. A change that leaves `apis` out leaves them
    as they are; Subscriptions to an Api that is taken off stay.
    """

    apis = NamedMany(model=Api, slug_field="slug", required=False, help_text="Slugs of the Apis.")
    beside: ClassVar = frozenset({"apis"})

    class Meta:
        """Columns."""

        model = Plan
        struct = document.Plan
        fields = ("id", *Plan.shared, "apis", "edition", "created_at", "updated_at")
        read_only_fields = ("edition", "created_at", "updated_at")

    def store(self, values: dict[str, Any]) -> Any:
        """The Plan and what it is sold on."""
        adding = self.row.pk is None
        row = super().store(values)
        if "apis" in values:
            row.apis.set(Api.objects.only("pk").filter(slug__in=values["apis"]))
        elif adding:
            row.apis.set(Api.objects.only("pk"))
        return row


class PlanSet(Edited):
    """Plans."""

    tag = "Plans"
    queryset = Plan.objects.prefetch_related(Prefetch("apis", Api.objects.only("pk", "slug").order_by()))
    serializer_class = PlanSerializer
    filters: ClassVar = {
        "name": Filter("name__exact", "The name."),
        "api": Filter("apis__slug__exact", "Slug of an Api that it is sold on."),
        "search": Filter("name__icontains", "Part of the name."),
        "approval": Filter("approval__exact", "Who approves.", "choice", ("auto", "manual")),
    }
    orders: ClassVar = {"name": "name", "updated_at": "updated_at"}
