"""Answers from the rollups: one way for charts, tables, files and the API.

Every function costs one query for each of the tables of minutes, hours and days that its range touches,
twice that with percentiles. Counts are exact: those of the traffic log over the same window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from typing import Any, Literal, cast

from django.db.models import F, Q, QuerySet, Sum
from msgspec.structs import replace

from analytics.answers import Group, Latency, Line, Timeline, Totals
from analytics.batch import DAY, HOUR, MINUTE
from analytics.grains import choose
from analytics.histogram import Histogram
from analytics.models import IngestTotals, QuarantinedSegment, Rollup
from analytics.questions import (
    CLASSES,
    Dimension,
    Question,
    Span,
    class_of,
    finest,
    spans,
    state_name,
    widen,
)
from analytics.rollups import TABLES
from proxy.telemetry.record import STATES

Order = Literal["count", "failures", "bytes_in", "bytes_out", "observed", "duration_sum"]
Split = Literal["class"] | Dimension
REST = "other"
_SUMS = ("count", "bytes_in", "bytes_out", "observed", "duration_sum", "upstream_sum")
_OUTCOME = ("status", "state")


def totals(question: Question, *, percentiles: bool = True) -> Totals:
    """All of it, added up."""
    found = _groups(question, ()).get((), Totals(classes={}, states={}))
    if percentiles:
        _add_percentiles(question, (), {(): found})
    return found


def top(
    question: Question,
    *dimensions: Dimension,
    count: int = 10,
    order: Order = "count",
    percentiles: bool = False,
) -> list[Group]:
    """The groups with the most, by the values of one or more dimensions, the biggest first."""
    groups = _groups(question, dimensions)
    ranked = sorted(groups.items(), key=lambda item: (-cast("int", getattr(item[1], order)), item[0]))[:count]
    if percentiles and ranked:
        _add_percentiles(question, dimensions, dict(ranked))
    return [Group(_labels(dimensions, values), sums) for values, sums in ranked]


def errors(question: Question, count: int = 20) -> list[Group]:
    """Requests with an error code, by code, policy and status."""
    return top(_errors_only(question), "code", "policy", "status", count=count)


def timeline(question: Question, split: Split | None = None, lines: int = 8) -> Timeline:
    """Counts over time: one line, or one for each status class, or for the biggest values of a dimension.

    What is beyond `lines` is added up in a last line, so that the stack is all there was.
    """
    step = question.step
    start, end = widen(question.start, question.end, step)
    dimension = "status" if split == "class" else split
    needed = () if dimension is None else (dimension,)
    fields = ["window", *(f"series__{name}" for name in needed)]
    rows = _rows(question, _table(step), [(start, end)], needed)
    counted = _windows(rows, step).values_list(*fields).annotate(Sum("count"))
    found: dict[str, dict[int, int]] = {}
    for window, *values, number in counted.iterator():
        label = _line_label(split, values)
        line = found.setdefault(label, {})
        line[window] = line.get(window, 0) + number
    times = list(range(start, end, step))
    chosen = _chosen(split, found, lines)
    return Timeline(step, times, [Line(label, [line.get(at, 0) for at in times]) for label, line in chosen])


def latency(question: Question, *, upstream: bool = False) -> Timeline:
    """p50, p95 and p99 over time in microseconds; None where there were no requests."""
    step = question.step
    start, end = widen(question.start, question.end, step)
    field = "upstream" if upstream else "duration"
    rows = _rows(question, _table(step), [(start, end)], ())
    found: dict[int, Histogram] = {}
    for window, stored in _windows(rows, step).values_list("window", field).iterator():
        found.setdefault(window, Histogram()).merge(Histogram.decode(stored))
    times = list(range(start, end, step))
    points = [Latency.of(found.get(at, Histogram())) for at in times]
    return Timeline(
        step,
        times,
        [Line(name, [getattr(point, name) for point in points]) for name in ("p50", "p95", "p99")],
    )


def ingestion() -> tuple[IngestTotals, list[QuarantinedSegment]]:
    """How ingestion fares: its own counters, and the newest segments that were set aside."""
    return IngestTotals.load(), list(QuarantinedSegment.objects.all()[:100])


def _errors_only(question: Question) -> Question:
    return replace(question, filters=replace(question.filters, errors_only=True))


def _groups(question: Question, dimensions: Iterable[Dimension]) -> dict[tuple[Any, ...], Totals]:
    """Sums by the values of the dimensions, over the whole window."""
    names = tuple(dimensions)
    fields = [f"series__{name}" for name in (*names, *_OUTCOME)]
    found: dict[tuple[Any, ...], Totals] = {}
    for rows in _parts(question, names):
        sums = rows.values_list(*fields).annotate(*(Sum(name) for name in _SUMS))
        for row in sums.iterator():
            values = row[: len(names)]
            group = found.get(values)
            if group is None:
                group = found[values] = Totals(classes={}, states={})
            group.add(row[len(names)], row[len(names) + 1], row[len(names) + 2 :])
    return found


def _add_percentiles(
    question: Question, dimensions: Iterable[Dimension], groups: dict[tuple[Any, ...], Totals]
) -> None:
    names = tuple(dimensions)
    fields = [f"series__{name}" for name in names]
    chosen = Q()
    for place, name in enumerate(names):
        chosen &= Q(**{f"series__{name}__in": {values[place] for values in groups}})
    duration: dict[tuple[Any, ...], Histogram] = {}
    upstream: dict[tuple[Any, ...], Histogram] = {}
    for rows in _parts(question, names):
        for *values, one, other in (
            rows.filter(chosen).values_list(*fields, "duration", "upstream").iterator()
        ):
            duration.setdefault(tuple(values), Histogram()).merge(Histogram.decode(one))
            upstream.setdefault(tuple(values), Histogram()).merge(Histogram.decode(other))
    for values_, sums in groups.items():
        sums.latency = Latency.of(duration.get(values_, Histogram()))
        sums.upstream = Latency.of(upstream.get(values_, Histogram()))


def _parts(question: Question, dimensions: Iterable[Dimension]) -> Iterator[QuerySet[Rollup]]:
    """The rows of the window, out of as few tables and rows as there can be."""
    smallest = finest(question.start, question.now)
    start, end = question.window
    for step, parts in spans(start, end, smallest).items():
        yield _rows(question, TABLES[step], parts, dimensions)


def _rows(
    question: Question, table: type[Rollup], parts: list[Span], dimensions: Iterable[Dimension]
) -> QuerySet[Rollup]:
    filters = question.filters
    needed = {*dimensions, *_OUTCOME, *question.dimensions()}
    grain = choose(needed, errors_only=filters.errors_only)
    when = reduce(or_, (Q(start__gte=low, start__lt=high) for low, high in parts))
    return table._default_manager.filter(question.condition(), when, series__grain=grain.number)


def _table(step: int) -> type[Rollup]:
    return TABLES[DAY if step >= DAY else HOUR if step >= HOUR else MINUTE]


def _windows(rows: QuerySet[Rollup], step: int) -> QuerySet[Rollup]:
    """The rows with the beginning of their window of `step` seconds."""
    return rows.order_by().annotate(window=F("start") - F("start") % step)


def _label(name: str | None, value: Any) -> str:
    return state_name(value) if name == "state" else str(value)


def _labels(dimensions: Iterable[str], values: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(_label(name, value) for name, value in zip(dimensions, values, strict=True))


def _line_label(split: Split | None, values: list[Any]) -> str:
    if split is None:
        return "requests"
    return class_of(values[0]) if split == "class" else _label(split, values[0])


def _chosen(
    split: Split | None, found: dict[str, dict[int, int]], lines: int
) -> list[tuple[str, dict[int, int]]]:
    if split is None:
        return [("requests", found.get("requests", {}))]
    fixed: tuple[str, ...] = CLASSES if split == "class" else STATES if split == "state" else ()
    if fixed:
        return [(label, found[label]) for label in fixed if label in found]
    ranked = sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    rest: dict[int, int] = {}
    for _, line in ranked[lines:]:
        for window, number in line.items():
            rest[window] = rest.get(window, 0) + number
    return ranked[:lines] + ([(REST, rest)] if rest else [])
