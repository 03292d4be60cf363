"""The settings of the gateway as a whole."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework.request import Request
from rest_framework.response import Response

from consoles.api.auth import READ, WRITE
from consoles.api.conditions import etag_of
from consoles.api.resource import Updated
from consoles.api.shapes import shapes_of
from consoles.api.strict import ModelStrict
from proxy.config import document
from proxy.config.snapshot import Limits
from proxy.models import Gateway


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Behind a load balancer",
            value={"trusted_proxies": ["10.0.0.0/8"], "limits": {"body_bytes": 1048576}},
            request_only=True,
        )
    ]
)
class GatewaySerializer(ModelStrict):
    """Limits (only what differs from the defaults) and trusted proxies."""

    class Meta:
        """Columns."""

        model = Gateway
        struct = document.Gateway
        shapes: ClassVar = {
            "limits": {"type": "object", "properties": shapes_of(Limits), "additionalProperties": False}
        }
        fields = (*Gateway.shared, "edition", "updated_at")
        read_only_fields = ("edition", "updated_at")


class GatewaySet(Updated):
    """The one object of its kind: it is there, and can be changed."""

    tag = "Gateway"
    needs: ClassVar = {"retrieve": READ, "update": WRITE, "partial_update": WRITE}
    queryset = Gateway.objects.all()
    serializer_class = GatewaySerializer
    pagination_class = None

    def get_object(self) -> Any:
        """The settings."""
        with transaction.atomic():
            return Gateway.lock() if self.queryset_lock else Gateway.load()

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The settings."""
        row = self.get_object()
        return Response(self.get_serializer(row).data, headers={"ETag": etag_of(row)})
