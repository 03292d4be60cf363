"""The match tester: which Route takes a request, and why."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from consoles.api.auth import READ
from consoles.api.errors import DraftRefused
from consoles.api.resource import Resource
from consoles.api.strict import DataField, Strict
from proxy.config.compile import compile_document
from proxy.config.draft import draft_document
from proxy.config.problem import Problem
from proxy.config.publish import PublishRefused, live_document
from proxy.http.path import Canonical, PathError, canonical
from proxy.routing.explain import explain, near_misses
from proxy.routing.literal import RouteError
from proxy.routing.table import RouteTable

MAX_HEADERS = 100


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Call",
            value={"host": "shop.example.com", "target": "/v1/products?page=2", "method": "GET"},
            request_only=True,
        )
    ]
)
class CallInput(Strict):
    """A request. `configuration` says whether the draft is asked, or what is live."""

    target = serializers.CharField(max_length=8000, help_text="Path and query, as on the request line.")
    host = serializers.CharField(max_length=255, default="", allow_blank=True)
    method = serializers.RegexField(r"\A[A-Z][A-Z_-]{0,31}\Z", default="GET")
    headers = DataField(
        default=dict,
        shape={"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": MAX_HEADERS},
    )
    configuration = serializers.ChoiceField(["draft", "live"], default="draft")

    def validate_headers(self, value: Any) -> list[tuple[bytes, bytes]]:
        """Header lines from a mapping."""
        if not isinstance(value, dict) or len(value) > MAX_HEADERS:
            raise ValidationError(f"Must be an object of {MAX_HEADERS} headers at most.")
        if not all(isinstance(text, str) and text.isprintable() for text in value.values()):
            raise ValidationError("Values must be printable text.")
        return [(name.lower().encode(), text.encode()) for name, text in value.items()]


class VerdictSerializer(serializers.Serializer[Any]):
    """What became of one Route."""

    route = serializers.CharField()
    selected = serializers.BooleanField()
    reason = serializers.CharField()


class MatchSerializer(serializers.Serializer[Any]):
    """`route` takes it, null if none does; `near` are those that nearly do, and why not.

    `path` is the canonical path; `refused` says why the gateway answers 400 although a Route was found.
    """

    route = serializers.CharField(allow_null=True)
    path = serializers.CharField()
    refused = serializers.CharField(allow_blank=True)
    verdicts = VerdictSerializer(many=True)
    near = serializers.ListField(child=serializers.CharField())


class MatchSet(Resource):
    """The match tester."""

    tag = "Routes"
    needs: ClassVar = {"match": READ}
    serializer_class = MatchSerializer
    pagination_class = None
    filter_backends: ClassVar = []

    @extend_schema(request=CallInput, responses=MatchSerializer)
    def match(self, request: Request) -> Response:
        """Ask which Route takes a request. Nothing is sent."""
        given = CallInput(data=request.data)
        given.is_valid(raise_exception=True)
        call = given.validated_data
        target = _canonical(call["target"])
        asked = (_host(call["host"]), target.path, call["method"].encode(), call["headers"], target.query)
        table = _table(call["configuration"])
        verdicts = explain(table, *asked)
        selected = next((one.route for one in verdicts if one.selected), None)
        return Response(
            {
                "route": selected,
                "path": target.path.decode(),
                "refused": _refused(table, selected, target),
                "verdicts": [one._asdict() for one in verdicts],
                "near": [] if selected else near_misses(table, *asked),
            }
        )


def _canonical(target: str) -> Canonical:
    found = canonical(target.encode(), allow_encoded=True)
    if isinstance(found, PathError):
        detail = f"The gateway refuses this: {found.reason}"
        raise ValidationError({"target": [ErrorDetail(detail, code="refused")]})
    return found


def _refused(table: RouteTable, selected: str | None, target: Canonical) -> str:
    taken = (route.config for route in table.routes if route.config.name == selected)
    if target.encoded and any(not route.allow_encoded for route in taken):
        return "The path holds an escape that upstreams read differently, and the Route does not allow that."
    return ""


def _host(text: str) -> bytes:
    """As the edge looks it up: lower case, no port, no dot at the end."""
    name = text.lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] if ":" in name else name
    return name.rstrip(".").encode()


def _table(configuration: str) -> RouteTable:
    try:
        whole = draft_document() if configuration == "draft" else live_document()
        return RouteTable(compile_document(msgspec.structs.replace(whole, certificates=()), 0).routes)
    except PublishRefused as refused:
        raise DraftRefused(refused.problems) from None
    except (RouteError, msgspec.ValidationError) as error:
        raise DraftRefused([Problem(configuration, "", str(error))]) from None
