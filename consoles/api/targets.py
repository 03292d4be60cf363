"""Targets: the instances of Upstreams, also one by one."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from consoles.api.filters import Filter
from consoles.api.resource import MAX_ID, Edited
from consoles.api.strict import ModelStrict
from proxy.config import snapshot
from proxy.models import Target, Upstream


@extend_schema_serializer(
    examples=[
        OpenApiExample("Target", value={"host": "10.0.0.7", "port": 8080, "weight": 100}, request_only=True)
    ]
)
class TargetSerializer(ModelStrict):
    """One instance: weight 0 takes it out, a lower priority number is used first."""

    class Meta:
        """Columns."""

        model = Target
        struct = snapshot.Target
        fields = ("id", *Target.shared, "edition")
        read_only_fields = ("edition",)

    def prepare(self, row: Any) -> None:
        """It is of the Upstream in the address."""
        row.upstream = self.context["view"].upstream


class TargetSet(Edited):
    """Targets of one Upstream."""

    tag = "Upstreams"
    queryset = Target.objects.select_related("upstream")
    serializer_class = TargetSerializer
    filters: ClassVar = {
        "host": Filter("host__exact", "Host name or address."),
        "zone": Filter("zone__exact", "Zone."),
    }
    orders: ClassVar = {"host": "host", "weight": "weight", "priority": "priority"}

    @property
    def upstream(self) -> Upstream:
        """The Upstream in the address, or 404."""
        key = int(self.kwargs["upstream_pk"])
        found = Upstream.objects.filter(pk=key).first() if key <= MAX_ID else None
        if found is None:
            raise Http404
        return found

    def get_queryset(self) -> QuerySet[Target]:
        """Those of the Upstream only."""
        if getattr(self, "swagger_fake_view", False):
            return Target.objects.none()
        return super().get_queryset().filter(upstream=self.upstream)
