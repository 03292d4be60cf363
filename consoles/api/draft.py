"""The draft as a whole: what it changes, what is wrong with it, publishing it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import transaction
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consoles import audit
from consoles.api.auth import PUBLISH, READ
from consoles.api.errors import DraftRefused, problem_lines
from consoles.api.resource import Resource
from consoles.api.strict import Strict
from proxy.config.difference import Change
from proxy.config.publish import Checked, Published, PublishRefused, check_draft, publish

MAX_NOTE = 2000


class ChangeSerializer(serializers.Serializer[Any]):
    """An object that is new, gone or changed."""

    kind = serializers.ChoiceField(["added", "removed", "changed"])
    object = serializers.CharField()
    details = serializers.ListField(child=serializers.CharField())


class ProblemLine(serializers.Serializer[Any]):
    """One thing about one field of one object."""

    object = serializers.CharField()
    field = serializers.CharField(allow_blank=True)
    message = serializers.CharField()


class CheckedSerializer(serializers.Serializer[Any]):
    """What publishing the draft now would come to; it can be published if there are no `problems`."""

    publishable = serializers.BooleanField()
    problems = ProblemLine(many=True)
    warnings = ProblemLine(many=True)


class DiffSerializer(serializers.Serializer[Any]):
    """What publishing would change."""

    changes = ChangeSerializer(many=True)


@extend_schema_serializer(
    examples=[OpenApiExample("Note", value={"note": "Limits for the shop"}, request_only=True)]
)
class NoteInput(Strict):
    """Why."""

    note = serializers.CharField(max_length=MAX_NOTE, default="", allow_blank=True)


class PublishedSerializer(serializers.Serializer[Any]):
    """The new Revision, what it changed, and what is allowed in it but hardly meant."""

    number = serializers.IntegerField()
    author = serializers.CharField()
    note = serializers.CharField()
    digest = serializers.CharField()
    created_at = serializers.DateTimeField()
    changes = ChangeSerializer(many=True)
    warnings = ProblemLine(many=True)


class DraftSet(Resource):
    """The draft."""

    tag = "Publishing"
    needs: ClassVar = {"validate": READ, "diff": READ, "publish": PUBLISH}
    serializer_class = CheckedSerializer
    pagination_class = None
    filter_backends: ClassVar = []

    @extend_schema(responses=CheckedSerializer)
    def validate(self, request: Request) -> Response:
        """Everything that is wrong with the draft, and warnings."""
        found = check_draft()
        return Response(
            {
                "publishable": not found.problems,
                "problems": problem_lines(found.problems),
                "warnings": problem_lines(found.warnings),
            }
        )

    @extend_schema(responses=DiffSerializer)
    def diff(self, request: Request) -> Response:
        """What differs between draft and live configuration."""
        found: Checked = check_draft()
        return Response({"changes": change_lines(found.changes)})

    @extend_schema(request=NoteInput, responses={201: PublishedSerializer})
    def publish(self, request: Request) -> Response:
        """Make the draft live, whole or not at all."""
        note = note_of(request)
        try:
            with transaction.atomic():
                made = publish(note, request.user.get_username())
                self.record(audit.Action.PUBLISH, made.revision, extra={"note": (None, note)})
        except PublishRefused as refused:
            raise DraftRefused(refused.problems) from None
        return Response(published(made), 201)


def note_of(request: Request) -> str:
    """The note in the body. Raises ValidationError."""
    given = NoteInput(data=request.data)
    given.is_valid(raise_exception=True)
    return str(given.validated_data["note"])


def published(made: Published) -> dict[str, Any]:
    """For the answer."""
    revision = made.revision
    return {
        "number": revision.number,
        "author": revision.author,
        "note": revision.note,
        "digest": revision.digest,
        "created_at": revision.created_at,
        "changes": change_lines(made.changes),
        "warnings": problem_lines(made.warnings),
    }


def change_lines(changes: list[Change]) -> list[dict[str, Any]]:
    """Changes as plain data."""
    return [{"kind": one.kind, "object": one.object, "details": list(one.details)} for one in changes]
