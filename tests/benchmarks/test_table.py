"""Targets are judged right, and tables read well as Markdown."""

from __future__ import annotations

import pytest

from benchmarks.table import Result, Table, Target, markdown_table, render, show


@pytest.mark.parametrize(
    ("measured", "at", "limit", "verdict"),
    [
        (1.5, "least", 1.5, "met"),
        (1.49, "least", 1.5, "missed"),
        (2.0, "most", 2.0, "met"),
        (2.01, "most", 2.0, "missed"),
        (20, "exactly", 20, "met"),
        (21, "exactly", 20, "missed"),
        (None, "least", 1.5, "not measured"),
    ],
)
def test_verdict(measured: float | None, at: str, limit: float, verdict: str) -> None:
    assert Target("it", measured, at, limit).verdict == verdict  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        ("nginx", "nginx"),
        (29147, "29,147"),
        (29147.6, "29,148"),
        (0.456, "0.46"),
        (69.44, "69.4"),
        (2.0, "2"),
    ],
)
def test_numbers_have_as_many_digits_as_mean_something(cell: object, text: str) -> None:
    assert show(cell) == text  # type: ignore[arg-type]


def test_table_is_aligned_with_numbers_to_the_right() -> None:
    table = Table(("gateway", "req/s"), [("nginx", 29_464), ("a|b", 13)])
    assert markdown_table(table).splitlines() == [
        "| gateway |  req/s |",
        "|---------|-------:|",
        "| nginx   | 29,464 |",
        "| a\\|b    |     13 |",
    ]


def test_section_shows_target_beside_measured_value() -> None:
    result = Result("limit", "Exact limits", targets=[Target("runs that are exact", 19, "exactly", 20)])
    text = render(result)
    assert text.startswith("## Exact limits\n")
    assert "| runs that are exact | 20     | 19       | missed |" in text


def test_result_is_plain_data() -> None:
    result = Result("idle", "Idle", [Table(("a",), [(1,)])], [Target("x", 1.0, "most", 20.0, "KB")])
    document = result.as_json()
    assert document["tables"] == [{"columns": ["a"], "rows": [[1]]}]
    assert document["targets"][0]["verdict"] == "met"
    assert render(Result.from_json(document)) == render(result)
