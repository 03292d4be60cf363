"""Revisions: what was published, and going back to it."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from consoles import audit
from consoles.api.auth import INSIGHT, PUBLISH
from consoles.api.draft import NoteInput, PublishedSerializer, note_of, published
from consoles.api.errors import DraftRefused
from consoles.api.filters import Filter
from consoles.api.resource import Listed
from consoles.api.strict import DataField
from proxy.config.apply import hidden_secrets
from proxy.config.decode import plain
from proxy.config.publish import PublishRefused, revision_document, rollback
from proxy.models import Revision


class RevisionSerializer(serializers.ModelSerializer[Any]):
    """A published configuration without the configuration; the highest number is live."""

    changes = DataField(read_only=True, shape={"type": "array", "items": {"type": "string"}})

    class Meta:
        """Columns."""

        model = Revision
        fields = ("number", "created_at", "author", "note", "digest", "changes")
        read_only_fields = fields


class RevisionSet(Listed):
    """Revisions."""

    tag = "Publishing"
    needs: ClassVar = {**Listed.needs, "document": INSIGHT, "rollback": PUBLISH}
    queryset = Revision.objects.defer("document")
    serializer_class = RevisionSerializer
    lookup_field = "number"
    filters: ClassVar = {
        "author": Filter("author__exact", "Who published it."),
        "from_number": Filter("number__gte", "This number and above.", "number"),
    }
    orders: ClassVar = {"number": "number"}

    @extend_schema(responses=OpenApiTypes.OBJECT)
    @action(detail=True, filter_backends=[])
    def document(self, request: Request, number: int) -> Response:
        """The whole configuration as it was published; private keys are not in it."""
        try:
            whole = hidden_secrets(revision_document(self.get_object()))
        except PublishRefused as refused:
            raise DraftRefused(refused.problems) from None
        return Response(msgspec.to_builtins(plain(whole)))

    @extend_schema(request=NoteInput, responses={201: PublishedSerializer})
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, number: int) -> Response:
        """Publish it again, and make the draft equal to it."""
        note = note_of(request)
        old = self.get_object()
        try:
            with transaction.atomic():
                made = rollback(old.number, request.user.get_username(), note)
                self.record(audit.Action.ROLLBACK, made.revision, extra={"to": (None, str(old))})
        except PublishRefused as refused:
            raise DraftRefused(refused.problems) from None
        return Response(published(made), 201)
