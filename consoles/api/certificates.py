"""Certificates; their keys can be written, never read."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from consoles.api.filters import Filter
from consoles.api.resource import Edited
from consoles.api.strict import DataField, ModelStrict
from proxy.models import Certificate


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Certificate",
            value={
                "name": "shop",
                "chain": "-----BEGIN CERTIFICATE-----\n...",
                "key": "-----BEGIN PRIVATE KEY-----\n...",
            },
            request_only=True,
        )
    ]
)
class CertificateSerializer(ModelStrict):
    """A chain and its private key, both PEM; names and expiry are read from the chain."""

    names = DataField(read_only=True, shape={"type": "array", "items": {"type": "string"}})

    class Meta:
        """Columns."""

        model = Certificate
        fields = ("id", *Certificate.shared, "names", "expires_at", "edition", "created_at", "updated_at")
        read_only_fields = ("expires_at", "edition", "created_at", "updated_at")
        extra_kwargs: ClassVar[dict[str, Any]] = {"key": {"write_only": True}}


class CertificateSet(Edited):
    """Certificates."""

    tag = "Certificates"
    queryset = Certificate.objects.all()
    serializer_class = CertificateSerializer
    filters: ClassVar = {
        "name": Filter("name__exact", "The name."),
        "search": Filter("name__icontains", "Part of the name."),
        "expires_before": Filter("expires_at__lt", "Expires before this time.", "time"),
    }
    orders: ClassVar = {"name": "name", "expires_at": "expires_at", "updated_at": "updated_at"}

    def secrets_of(self, row: Any) -> dict[str, Any]:
        """That a key was replaced is told, the keys are not."""
        return {"key": row.key}
