"""The catalogue of policies: what there is to attach."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from consoles.api.auth import READ
from consoles.api.resource import Resource
from consoles.api.shapes import shapes_of
from proxy.pipeline.policy import Policy
from proxy.pipeline.registry import policies


class PolicyKindSerializer(serializers.Serializer[Any]):
    """One policy of the catalogue; `config` is the JSON schema of its configuration."""

    name = serializers.CharField()
    summary = serializers.CharField()
    help = serializers.CharField()
    stage = serializers.CharField()
    combine = serializers.ChoiceField(["override", "stack"])
    config = serializers.DictField()


class PolicyKindSet(Resource):
    """Kinds of policies, in the order in which they run."""

    tag = "Policies"
    needs: ClassVar = {"list": READ, "retrieve": READ}
    serializer_class = PolicyKindSerializer
    lookup_value_converter = "str"
    lookup_field = "name"
    pagination_class = None
    filter_backends: ClassVar = []

    @extend_schema(responses=PolicyKindSerializer(many=True))
    def list(self, request: Request) -> Response:
        """All of them."""
        return Response([_shown(kind) for kind in policies().values()])

    @extend_schema(responses=PolicyKindSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One of them."""
        kind = policies().get(name)
        if kind is None:
            raise Http404
        return Response(_shown(kind))


def _shown(kind: type[Policy]) -> dict[str, Any]:
    text = inspect.cleandoc(kind.__doc__ or "")
    return {
        "name": kind.name,
        "summary": text.partition("\n")[0],
        "help": text,
        "stage": kind.stage.name.lower().replace("_", "-"),
        "combine": kind.combine,
        "config": {"type": "object", "properties": shapes_of(kind.Config), "additionalProperties": False},
    }
