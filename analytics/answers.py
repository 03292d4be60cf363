"""What queries answer with: plain values for charts, tables and files alike."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator

import msgspec

from analytics.histogram import Histogram
from analytics.questions import CLASSES, class_of, state_name

QUANTILES = (0.5, 0.95, 0.99)


class Latency(msgspec.Struct, frozen=True):
    """Percentiles in microseconds, each within 5 %; None if there was no such request."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, histogram: Histogram) -> Latency:
        """Those of a histogram."""
        return cls(*map(histogram.quantile, QUANTILES))


class Totals(msgspec.Struct, kw_only=True):
    """Sums over requests: `classes` and `states` by name, body bytes, microseconds.

    `latency` and `upstream` are there only where they were asked for.
    """

    count: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    observed: int = 0
    duration_sum: int = 0
    upstream_sum: int = 0
    classes: dict[str, int] = {}
    states: dict[str, int] = {}
    latency: Latency = Latency()
    upstream: Latency = Latency()

    @property
    def mean(self) -> float | None:
        """The mean duration in microseconds."""
        return self.duration_sum / self.count if self.count else None

    @property
    def failures(self) -> int:
        """Requests that the gateway or an upstream failed: 5xx, or no answer."""
        return self.classes.get("5xx", 0) + self.classes.get("none", 0)

    @property
    def failure_share(self) -> float:
        """Failures among all, 0 to 1."""
        return self.failures / self.count if self.count else 0.0

    def add(self, status: int, state: int, sums: tuple[int, ...]) -> None:
        """Add a group: count, bytes in and out, observed, sums of duration and upstream."""
        count, bytes_in, bytes_out, observed, duration, upstream = sums
        self.count += count
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        self.observed += observed
        self.duration_sum += duration
        self.upstream_sum += upstream
        name = class_of(status)
        self.classes[name] = self.classes.get(name, 0) + count
        name_of_state = state_name(state)
        self.states[name_of_state] = self.states.get(name_of_state, 0) + count


class Group(msgspec.Struct):
    """One row of a ranking: the values of the dimensions it is about, and its sums."""

    labels: tuple[str, ...]
    totals: Totals


class Line(msgspec.Struct):
    """One line of a chart, or one layer of a stack: a value for every point in time."""

    label: str
    values: list[float | None]


class Timeline(msgspec.Struct):
    """Lines over `times` (Unix seconds of the beginning of each window of `step` seconds)."""

    step: int
    times: list[int]
    lines: list[Line]


Table = Iterator[tuple[str, ...]]


def timeline_table(timeline: Timeline) -> Table:
    """A chart as rows of text, the head first."""
    yield ("time", *(line.label for line in timeline.lines))
    for place, start in enumerate(timeline.times):
        yield (_clock(start), *(_text(line.values[place]) for line in timeline.lines))


def groups_table(names: tuple[str, ...], groups: list[Group]) -> Table:
    """A ranking as rows of text, the head first."""
    yield (*names, "requests", *CLASSES, "bytes_in", "bytes_out", "p50_us", "p95_us", "p99_us")
    for group in groups:
        sums = group.totals
        percentiles = (sums.latency.p50, sums.latency.p95, sums.latency.p99)
        numbers = (
            sums.count,
            *(sums.classes.get(name, 0) for name in CLASSES),
            sums.bytes_in,
            sums.bytes_out,
        )
        yield (*group.labels, *map(_text, numbers), *map(_text, percentiles))


def as_csv(table: Table) -> Iterator[str]:
    """Lines of CSV (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe before it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for row in table:
        writer.writerow([_harmless(cell) for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _harmless(cell: str) -> str:
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _clock(start: float) -> str:
    return datetime.datetime.fromtimestamp(start, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
