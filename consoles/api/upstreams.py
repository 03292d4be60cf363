"""Upstreams with their Targets."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from consoles.api.filters import Filter
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict
from proxy.config import snapshot
from proxy.models import Target, Upstream

MAX_TARGETS = 1000


class TargetInput(ModelStrict):
    """A Target in its Upstream's list; what tells it from others is host and port."""

    class Meta:
        """Columns."""

        model = Target
        struct = snapshot.Target
        fields = ("id", *Target.shared)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """A Target without its Upstream, which may not be stored yet."""
        super().run_validation(data)
        return self.row

    def full_clean(self, row: Any, errors: Any) -> None:
        """All but what needs the Upstream."""
        row.full_clean(exclude={*errors, "upstream"}, validate_unique=False, validate_constraints=False)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Products",
            value={
                "name": "products",
                "targets": [{"host": "10.0.0.7", "port": 8080}, {"host": "10.0.0.8", "port": 8080}],
                "health": {"path": "/health", "interval": 5},
            },
            request_only=True,
        )
    ]
)
class UpstreamSerializer(ModelStrict):
    """How to speak to a service, and its instances. `targets`, if sent, replaces the whole list."""

    beside = frozenset({"targets"})
    targets = TargetInput(many=True, required=False, max_length=MAX_TARGETS)

    class Meta:
        """Columns."""

        model = Upstream
        struct = snapshot.Upstream
        fields = ("id", *Upstream.shared, "targets", "edition", "created_at", "updated_at")
        read_only_fields = ("edition", "created_at", "updated_at")

    def validate_beside(self, values: dict[str, Any]) -> dict[str, list[str]]:
        """No Target twice."""
        seen: set[str] = set()
        for target in values.get("targets") or ():
            if (label := target.as_document().label) in seen:
                return {"targets": [f"{label} is there twice."]}
            seen.add(label)
        return {}

    def store(self, values: dict[str, Any]) -> Any:
        """The Upstream, then its Targets: known ones are changed, not made anew."""
        self.row.save()
        if "targets" in values:
            _replace(self.row, values["targets"])
        return self.row


def _replace(upstream: Upstream, wanted: list[Target]) -> None:
    stored = {(target.host, target.port): target for target in upstream.targets.all()}
    for item in wanted:
        target = stored.pop((item.host, item.port), None) or Target(upstream=upstream)
        before = target.plain() if target.pk else None
        target.fill(item.as_document())
        if before != target.plain():
            target.save()
    for target in stored.values():
        target.delete()


class UpstreamSet(Edited):
    """Upstreams."""

    tag = "Upstreams"
    queryset = Upstream.objects.prefetch_related("targets")
    serializer_class = UpstreamSerializer
    filters: ClassVar = {
        "name": Filter("name__exact", "The name."),
        "search": Filter("name__icontains", "Part of the name."),
        "protocol": Filter("protocol__exact", "Protocol.", "choice", ("http", "https", "h2", "h2c")),
    }
    orders: ClassVar = {"name": "name", "updated_at": "updated_at"}
