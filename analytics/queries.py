"""Answers from the rollups: one way for charts, tables, files and the API.

Every function costs two queries, with percentiles three; a timeline costs one. Counts are exact: those of the
traffic log over the same window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, cast

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q, QuerySet, Sum
from msgspec.structs import replace

from analytics.answers import Group, Latency, Line, Timeline, Totals
from analytics.batch import DAY, HOUR, MINUTE
from analytics.grains import choose
from analytics.histogram import Histogram
from analytics.models import IngestTotals, QuarantinedSegment, Rollup, Series
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


class IntegerSum(Sum):
    """A sum that is taken as it comes where the database adds integers up to integers: rows are many."""

    def get_db_converters(self, connection: BaseDatabaseWrapper) -> list[Any]:
        """None on SQLite; PostgreSQL makes numerics of such sums."""
        return [] if connection.vendor == "sqlite" else super().get_db_converters(connection)


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
    rows = _rows(_series(question, needed), _table(step), (start, end))
    counted = _windows(rows, step).values_list(*fields).annotate(IntegerSum("count"))
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
    rows = _rows(_series(question, ()), _table(step), (start, end))
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
    """Sums by the values of the dimensions, over the whole window.

    The database adds up by series, which is the order of its index, and the few series are then put together
    here: grouping by text there takes five times as long.
    """
    names = tuple(dimensions)
    chosen = _series(question, names)
    series = {row[0]: row[1:] for row in chosen.values_list("id", *_OUTCOME, *names)}
    found: dict[tuple[Any, ...], Totals] = {}
    parts = _parts(question, chosen)
    sums = [rows.values_list("series_id").annotate(*(IntegerSum(name) for name in _SUMS)) for rows in parts]
    for number, *row in _together(sums):
        if number in series:  # not if it was made between the two queries
            status, state, *values = series[number]
            group = found.get(tuple(values))
            if group is None:
                group = found[tuple(values)] = Totals(classes={}, states={})
            group.add(status, state, tuple(row))
    return found


def _add_percentiles(
    question: Question, dimensions: Iterable[Dimension], groups: dict[tuple[Any, ...], Totals]
) -> None:
    names = tuple(dimensions)
    wanted = Q()
    for place, name in enumerate(names):
        wanted &= Q(**{f"{name}__in": {values[place] for values in groups}})
    fields = [f"series__{name}" for name in names]
    duration: dict[tuple[Any, ...], Histogram] = {}
    upstream: dict[tuple[Any, ...], Histogram] = {}
    parts = _parts(question, _series(question, names).filter(wanted))
    for *values, one, other in _together(
        [rows.values_list(*fields, "duration", "upstream") for rows in parts]
    ):
        duration.setdefault(tuple(values), Histogram()).merge(Histogram.decode(one))
        upstream.setdefault(tuple(values), Histogram()).merge(Histogram.decode(other))
    for group, sums in groups.items():
        sums.latency = Latency.of(duration.get(group, Histogram()))
        sums.upstream = Latency.of(upstream.get(group, Histogram()))


def _series(question: Question, dimensions: Iterable[Dimension]) -> QuerySet[Series]:
    """The series that the question is about, in the cheapest grain that has all it needs."""
    needed = {*dimensions, *_OUTCOME, *question.dimensions()}
    grain = choose(needed, errors_only=question.filters.errors_only)
    return Series.objects.filter(question.condition(), grain=grain.number)


def _parts(question: Question, series: QuerySet[Series]) -> list[QuerySet[Rollup]]:
    """The rollups of the window, out of as few tables and rows as there can be."""
    smallest = finest(question.start, question.now)
    start, end = question.window
    found = spans(start, end, smallest)
    return [_rows(series, TABLES[step], span) for step, parts in found.items() for span in parts]


def _together(parts: list[Any]) -> Iterator[tuple[Any, ...]]:
    """All rows of all parts, in one query. An OR in place of it would have SQLite read whole tables."""
    if parts:
        yield from (parts[0].union(*parts[1:], all=True) if parts[1:] else parts[0]).iterator()


def _rows(series: QuerySet[Series], table: type[Rollup], span: Span) -> QuerySet[Rollup]:
    ids = series.order_by().values("id")
    return table._default_manager.filter(start__gte=span[0], start__lt=span[1], series__in=ids)


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
