"""The audit trail, to read."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from consoles.api.auth import INSIGHT
from consoles.api.filters import Filter
from consoles.api.resource import Listed
from consoles.api.strict import DataField
from consoles.models import AuditEntry

_CHANGE = {
    "type": "object",
    "properties": {"field": {"type": "string"}, "before": {}, "after": {}},
    "required": ["field", "before", "after"],
}


class AuditEntrySerializer(serializers.ModelSerializer[Any]):
    """Who did what to which object, and what it changed."""

    actor = serializers.CharField(source="actor_name")
    changes = DataField(read_only=True, shape={"type": "array", "items": _CHANGE})

    class Meta:
        """Columns."""

        model = AuditEntry
        fields = ("id", "at", "actor", "action", "kind", "object_id", "object_name", "changes", "address")
        read_only_fields = fields


class AuditEntrySet(Listed):
    """The audit trail: newest first, nothing in it changes."""

    tag = "Audit"
    needs: ClassVar = {"list": INSIGHT, "retrieve": INSIGHT}
    queryset = AuditEntry.objects.all()
    serializer_class = AuditEntrySerializer
    filters: ClassVar = {
        "actor": Filter("actor_name__exact", "Who."),
        "action": Filter("action__exact", "What.", "choice", tuple(AuditEntry.Action.values)),
        "kind": Filter("kind__exact", "Kind of object, as route."),
        "object_id": Filter("object_id__exact", "Id of the object."),
        "since": Filter("at__gte", "From this time.", "time"),
        "until": Filter("at__lt", "Before this time.", "time"),
    }
    orders: ClassVar = {"at": "at"}
