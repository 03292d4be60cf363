"""Charts: the data for the script that draws them, and the same numbers as a table."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from analytics.answers import Timeline

Look = Literal["stack", "lines"]
COLOURS: Mapping[str, str] = {
    "2xx": "green",
    "3xx": "blue",
    "4xx": "yellow",
    "5xx": "red",
    "1xx": "secondary",
    "none": "secondary",
    "p50": "green",
    "p95": "yellow",
    "p99": "red",
}
NAMES: Mapping[str, str] = {"none": "no answer"}


class Chart(NamedTuple):
    """One chart: what the script needs as JSON, a sentence for who does not see it, and its table."""

    key: str
    title: str
    data: dict[str, Any]
    summary: str
    head: list[str]
    rows: list[list[str]]
    empty: bool


def chart(
    key: str, title: str, timeline: Timeline, look: Look, unit: str, scale: Callable[[float], float] = float
) -> Chart:
    """A chart of a timeline; `scale` turns stored values into those shown, in `unit`."""
    lines = [
        {
            "label": NAMES.get(line.label, line.label),
            "colour": COLOURS.get(line.label, "blue"),
            "values": [None if value is None else scale(value) for value in line.values],
        }
        for line in timeline.lines
    ]
    data = {"look": look, "unit": unit, "step": timeline.step, "times": timeline.times, "lines": lines}
    filled = [value for line in lines for value in line["values"] if value]
    rows = [
        [_clock(at), *(_number(line["values"][place]) for line in lines)]
        for place, at in enumerate(timeline.times)
        if any(line["values"][place] for line in lines)
    ]
    most = f"{_number(max(filled))} {unit}" if filled else "nothing"
    return Chart(
        key,
        title,
        data,
        f"{title} over time, at most {most} in {timeline.step // 60} minutes.",
        ["Time (UTC)", *(f"{line['label']} ({unit})" for line in lines)],
        rows,
        not filled,
    )


def _clock(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def duration(microseconds: float | None) -> str:
    """A duration in the unit that fits."""
    if microseconds is None:
        return ""
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.1f} ms"
    return f"{microseconds / 1_000_000:.2f} s"
