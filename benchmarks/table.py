"""What the benchmarks found, as rows and targets, and how it is shown: on the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Cell = str | int | float | None


@dataclass
class Target:
    """A number that must be reached. `at` says whether it may not be less or not be more than `limit`."""

    what: str
    measured: float | None
    at: Literal["least", "most", "exactly"]
    limit: float
    unit: str = ""

    @property
    def verdict(self) -> str:
        """`met`, `missed`, or why neither can be said."""
        if self.measured is None:
            return "not measured"
        if self.at == "exactly":
            return "met" if self.measured == self.limit else "missed"
        good = self.measured >= self.limit if self.at == "least" else self.measured <= self.limit
        return "met" if good else "missed"

    @property
    def wanted(self) -> str:
        """The limit in words."""
        sign = {"least": "≥ ", "most": "≤ ", "exactly": ""}[self.at]
        return f"{sign}{show(self.limit)}{self.unit and ' ' + self.unit}"


@dataclass
class Table:
    """Rows under headings."""

    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)


@dataclass
class Result:
    """What one section found. `raw` goes into the JSON beside what is shown."""

    name: str
    title: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """What `as_json` made."""
        tables = [Table(table["columns"], table["rows"]) for table in data["tables"]]
        targets = [
            Target(row["what"], row["measured"], row["at"], row["limit"], row["unit"])
            for row in data["targets"]
        ]
        return cls(data["name"], data["title"], tables, targets, data["notes"], data["raw"])

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "targets": [
                {"what": t.what, "measured": t.measured, "at": t.at, "limit": t.limit, "unit": t.unit}
                | {"verdict": t.verdict}
                for t in self.targets
            ],
            "tables": [
                {"columns": list(t.columns), "rows": [list(row) for row in t.rows]} for t in self.tables
            ],
            "notes": self.notes,
            "raw": self.raw,
        }


def show(cell: Cell) -> str:
    """A number with as many digits as mean something."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or cell == int(cell) or abs(cell) >= 1000:
        return f"{cell:,.0f}"
    return f"{cell:.2f}" if abs(cell) < 10 else f"{cell:.1f}"


def target_table(targets: Sequence[Target]) -> Table:
    """Targets beside what was measured."""
    table = Table(("target", "wanted", "measured", ""))
    for target in targets:
        unit = target.unit and " " + target.unit
        measured = show(target.measured) + (unit if target.measured is not None else "")
        table.rows.append((target.what, target.wanted, measured, target.verdict))
    return table


def markdown_table(table: Table) -> str:
    """Aligned, so that it reads well on a terminal too; numbers to the right."""
    rows = [[show(cell).replace("|", "\\|") for cell in row] for row in table.rows]
    right = [
        bool(table.rows) and all(not isinstance(row[index], str) for row in table.rows)
        for index in range(len(table.columns))
    ]
    widths = [
        max(3, len(name), *(len(row[index]) for row in rows)) if rows else max(3, len(name))
        for index, name in enumerate(table.columns)
    ]
    lines = [_line(table.columns, widths, right)]
    lines.append(
        "|"
        + "|".join("-" * (width + 1) + (":" if to else "-") for width, to in zip(widths, right, strict=True))
        + "|"
    )
    lines += [_line(row, widths, right) for row in rows]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if to else cell.ljust(width)
        for cell, width, to in zip(cells, widths, right, strict=True)
    )
    return "| " + " | ".join(padded) + " |"


def render(result: Result, level: str = "##") -> str:
    """One section as Markdown."""
    parts = [f"{level} {result.title}"]
    parts += [markdown_table(table) for table in result.tables if table.rows]
    if result.targets:
        parts.append(markdown_table(target_table(result.targets)))
    parts += [f"{note}" for note in result.notes]
    return "\n\n".join(parts)
