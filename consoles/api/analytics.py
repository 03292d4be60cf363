"""Analytics: the queries that the console's charts ask, with the same answers."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar, get_args

import msgspec
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import queries
from analytics.answers import Group, Timeline, Totals
from analytics.questions import CLASSES, EVERYTHING, Dimension, Filters, Question
from consoles.api.auth import READ
from consoles.api.resource import Resource
from consoles.api.strict import Strict
from proxy.telemetry.record import STATES

LONGEST = 1100
"""Days, as long as anything is kept."""
HOUR = 3600
DIMENSIONS: tuple[str, ...] = get_args(Dimension)
MAX_VALUES, MAX_GROUPS, MAX_LINES = 50, 100, 20


def _names(help_text: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=300),
        required=False,
        max_length=MAX_VALUES,
        help_text=f"{help_text} Again for several.",
    )


class Asked(Strict):
    """A range and filters. Without `start` the last `seconds` up to `end`, without `end` up to now."""

    start = serializers.DateTimeField(required=False, help_text="Beginning of the range.")
    end = serializers.DateTimeField(required=False, help_text="End of the range; now if not given.")
    seconds = serializers.IntegerField(
        required=False,
        default=HOUR,
        min_value=60,
        max_value=LONGEST * 86_400,
        help_text="Length without `start`.",
    )
    api = _names("Slug of the Api.")
    route = _names("Name of the Route.")
    app = _names("Name of the App.")
    plan = _names("Name of the Plan.")
    target = _names("Target as host:port.")
    status = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=999),
        required=False,
        max_length=MAX_VALUES,
        help_text="Status, 0 without an answer.",
    )
    status_class = serializers.ListField(
        child=serializers.ChoiceField(CLASSES), required=False, max_length=MAX_VALUES, help_text="As 5xx."
    )
    code = _names("Error code of the gateway.")
    policy = _names("Policy that refused.")
    state = serializers.ListField(
        child=serializers.ChoiceField(STATES),
        required=False,
        max_length=MAX_VALUES,
        help_text="How it ended.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The range is one."""
        end = attrs.get("end") or timezone.now()
        try:
            start = attrs.get("start") or end - datetime.timedelta(seconds=attrs["seconds"])
            usable = 0 <= start.timestamp() < end.timestamp() <= timezone.now().timestamp() + 366 * 86_400
            usable = usable and end - start <= datetime.timedelta(days=LONGEST)
        except (OverflowError, ValueError):
            usable = False
        if not usable:
            reason = f"The range must not be empty, nor longer than {LONGEST} days, nor in the far future."
            raise ValidationError({"start": [ErrorDetail(reason, code="range")]})
        return {**attrs, "start": start, "end": end}

    def question(self) -> Question:
        """What is asked of the rollups."""
        given = self.validated_data
        filters = {name: tuple(given[name]) for name in (*DIMENSIONS, "status_class") if given.get(name)}
        if "state" in filters:
            filters["state"] = tuple(STATES.index(name) for name in filters["state"])
        return Question(
            scope=EVERYTHING,
            start=int(given["start"].timestamp()),
            end=-int(-given["end"].timestamp() // 1),
            filters=Filters(**filters),
        )


class AskedTop(Asked):
    """A ranking: by which dimensions, by what, how many."""

    by = serializers.ListField(
        child=serializers.ChoiceField(DIMENSIONS),
        max_length=3,
        min_length=1,
        required=True,
        help_text="Dimensions.",
    )
    order = serializers.ChoiceField(
        ["count", "failures", "bytes_in", "bytes_out", "observed", "duration_sum"], default="count"
    )
    limit = serializers.IntegerField(default=10, min_value=1, max_value=MAX_GROUPS)


class AskedTimeline(Asked):
    """A chart: split by what, into how many lines."""

    split = serializers.ChoiceField(["class", *DIMENSIONS], required=False)
    lines = serializers.IntegerField(default=8, min_value=1, max_value=MAX_LINES)


class AskedLatency(Asked):
    """Of whole requests, or of the upstream's part."""

    upstream = serializers.BooleanField(default=False)


class LatencySerializer(serializers.Serializer[Any]):
    """Percentiles in microseconds, null without requests."""

    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)
    p99 = serializers.FloatField(allow_null=True)


class TotalsSerializer(serializers.Serializer[Any]):
    """Sums: bytes of bodies, microseconds; `classes` by status class, `states` by how requests ended."""

    count = serializers.IntegerField()
    failures = serializers.IntegerField()
    failure_share = serializers.FloatField()
    bytes_in = serializers.IntegerField()
    bytes_out = serializers.IntegerField()
    observed = serializers.IntegerField()
    duration_sum = serializers.IntegerField()
    upstream_sum = serializers.IntegerField()
    mean = serializers.FloatField(allow_null=True)
    classes = serializers.DictField(child=serializers.IntegerField())
    states = serializers.DictField(child=serializers.IntegerField())
    latency = LatencySerializer()
    upstream = LatencySerializer()


class GroupSerializer(serializers.Serializer[Any]):
    """One row of a ranking."""

    labels = serializers.DictField(child=serializers.CharField())
    totals = TotalsSerializer()


class RankingSerializer(serializers.Serializer[Any]):
    """The biggest first."""

    start = serializers.IntegerField()
    end = serializers.IntegerField()
    groups = GroupSerializer(many=True)


class LineSerializer(serializers.Serializer[Any]):
    """A value for each point in time."""

    label = serializers.CharField()
    values = serializers.ListField(child=serializers.FloatField(allow_null=True))


class TimelineSerializer(serializers.Serializer[Any]):
    """Lines over `times` (Unix seconds; each the beginning of a window of `step` seconds)."""

    step = serializers.IntegerField()
    times = serializers.ListField(child=serializers.IntegerField())
    lines = LineSerializer(many=True)


class AnalyticsSet(Resource):
    """Counts are exact, percentiles within 5 %; rollups know whole minutes, of long ago whole hours or days."""

    tag = "Analytics"
    needs: ClassVar = dict.fromkeys(("totals", "top", "errors", "timeline", "latency"), READ)
    serializer_class = TotalsSerializer
    pagination_class = None
    filter_backends: ClassVar = []

    @extend_schema(parameters=[Asked], responses=TotalsSerializer)
    def totals(self, request: Request) -> Response:
        """All of it, added up."""
        return Response(_totals(queries.totals(_asked(Asked, request).question())))

    @extend_schema(parameters=[AskedTop], responses=RankingSerializer)
    def top(self, request: Request) -> Response:
        """The groups with the most, by one to three dimensions."""
        asked = _asked(AskedTop, request)
        given, question = asked.validated_data, asked.question()
        names = tuple(dict.fromkeys(given["by"]))
        groups = queries.top(question, *names, count=given["limit"], order=given["order"], percentiles=True)
        return Response(_ranking(question, names, groups))

    @extend_schema(parameters=[Asked], responses=RankingSerializer)
    def errors(self, request: Request) -> Response:
        """Requests with an error code, by code, policy and status."""
        question = _asked(Asked, request).question()
        return Response(_ranking(question, ("code", "policy", "status"), queries.errors(question)))

    @extend_schema(parameters=[AskedTimeline], responses=TimelineSerializer)
    def timeline(self, request: Request) -> Response:
        """Counts over time."""
        asked = _asked(AskedTimeline, request)
        given = asked.validated_data
        return Response(_lines(queries.timeline(asked.question(), given.get("split"), given["lines"])))

    @extend_schema(parameters=[AskedLatency], responses=TimelineSerializer)
    def latency(self, request: Request) -> Response:
        """p50, p95 and p99 over time in microseconds."""
        asked = _asked(AskedLatency, request)
        return Response(_lines(queries.latency(asked.question(), upstream=asked.validated_data["upstream"])))


def _asked(kind: type[Asked], request: Request) -> Any:
    asked = kind(data=request.query_params)
    asked.is_valid(raise_exception=True)
    return asked


def _totals(found: Totals) -> dict[str, Any]:
    derived = {"mean": found.mean, "failures": found.failures, "failure_share": found.failure_share}
    return {**msgspec.to_builtins(found), **derived}


def _ranking(question: Question, names: tuple[str, ...], groups: list[Group]) -> dict[str, Any]:
    start, end = question.window
    rows = [
        {"labels": dict(zip(names, group.labels, strict=True)), "totals": _totals(group.totals)}
        for group in groups
    ]
    return {"start": start, "end": end, "groups": rows}


def _lines(found: Timeline) -> Any:
    return msgspec.to_builtins(found)
