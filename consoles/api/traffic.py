"""The traffic log: single requests, newest first."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import traffic_log
from analytics.models import RawRecord
from analytics.questions import CLASSES, EVERYTHING, state_name
from analytics.traffic_log import MAX_PAGE, PAGE, Cursor, LogFilters, Method
from consoles.api.auth import READ
from consoles.api.resource import MAX_ID, Resource
from consoles.api.strict import Strict
from proxy.telemetry.record import STATES

MAX_TEXT = 300


class RecordSerializer(serializers.ModelSerializer[Any]):
    """One request: `time` in Unix seconds, durations in microseconds, sizes in bytes of bodies."""

    state = serializers.SerializerMethodField()

    class Meta:
        """Columns."""

        model = RawRecord
        fields = tuple(field.name for field in RawRecord._meta.concrete_fields)
        read_only_fields = fields

    def get_state(self, row: RawRecord) -> str:
        """How it ended, in a word."""
        return state_name(row.state)


def _text(help_text: str) -> serializers.CharField:
    return serializers.CharField(required=False, max_length=MAX_TEXT, help_text=help_text)


class LogInput(Strict):
    """Filters and where the page begins."""

    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)
    method = serializers.ChoiceField(get_args(Method), required=False)
    status = serializers.IntegerField(required=False, min_value=0, max_value=999)
    status_class = serializers.ChoiceField(CLASSES, required=False)
    state = serializers.ChoiceField(STATES, required=False, help_text="How it ended.")
    api = _text("Slug of the Api.")
    route = _text("Name of the Route.")
    app = _text("Name of the App.")
    client_ip = _text("Address of the client.")
    target = _text("Target as host:port.")
    code = _text("Error code of the gateway.")
    policy = _text("Policy that refused.")
    text = _text("Part of the path.")
    request_id = _text("The one request with this id.")
    longer_than = serializers.IntegerField(
        required=False, min_value=0, max_value=MAX_ID, help_text="Microseconds."
    )
    refused = serializers.BooleanField(default=False, help_text="Only those with an error code.")
    after = _text("`next` of the page before.")
    page_size = serializers.IntegerField(default=PAGE, min_value=1, max_value=MAX_PAGE)

    def filters(self) -> LogFilters:
        """As the log takes them."""
        given = self.validated_data
        fields = {name: given[name] for name in LogFilters.__struct_fields__ if name in given}
        for name in ("start", "end"):
            if name in fields:
                fields[name] = _seconds(name, fields[name])
        if "state" in fields:
            fields["state"] = STATES.index(fields["state"])
        return LogFilters(**fields)


def _seconds(name: str, moment: Any) -> float:
    try:
        return float(moment.timestamp())
    except (OverflowError, ValueError):
        raise ValidationError({name: [ErrorDetail("Is out of range.", code="range")]}) from None


class LogSerializer(serializers.Serializer[Any]):
    """A page; `next` is for `after`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = RecordSerializer(many=True)


class TrafficSet(Resource):
    """The traffic log, kept for some days."""

    tag = "Analytics"
    needs: ClassVar = {"log": READ, "show": READ}
    queryset = RawRecord.objects.all()
    serializer_class = RecordSerializer
    pagination_class = None
    filter_backends: ClassVar = []

    @extend_schema(parameters=[LogInput], responses=LogSerializer)
    def log(self, request: Request) -> Response:
        """One page, newest first."""
        asked = LogInput(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        if "request_id" in given:
            found = traffic_log.find(EVERYTHING, given["request_id"])
            return Response(
                {"next": None, "results": RecordSerializer([found] if found else [], many=True).data}
            )
        after = Cursor.parse(given["after"]) if "after" in given else None
        if after is None and "after" in given:
            raise ValidationError({"after": [ErrorDetail("Is not from a page before.", code="invalid")]})
        page = traffic_log.page(EVERYTHING, asked.filters(), after, given["page_size"])
        rows = RecordSerializer(page.records, many=True).data
        return Response({"next": str(page.next) if page.next else None, "results": rows})

    @extend_schema(responses=RecordSerializer)
    def show(self, request: Request, pk: int) -> Response:
        """One request."""
        found = traffic_log.get(EVERYTHING, pk) if pk <= MAX_ID else None
        if found is None:
            raise Http404
        return Response(RecordSerializer(found).data)
