"""Two texts beside each other, line by line, with what did not change folded away."""

from __future__ import annotations

import difflib
from typing import Literal, NamedTuple

Kind = Literal["same", "changed", "added", "removed", "gap"]
CONTEXT = 3
MAX_LINES = 20_000


class Line(NamedTuple):
    """One line of both columns; a number is None where that side has no such line."""

    kind: Kind
    old_number: int | None
    old: str
    new_number: int | None
    new: str


def side_by_side(old: str, new: str, context: int = CONTEXT) -> list[Line]:
    """The lines that differ with `context` lines around them; a `gap` stands for lines left out."""
    left, right = old.splitlines()[:MAX_LINES], new.splitlines()[:MAX_LINES]
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    found: list[Line] = []
    for number, group in enumerate(matcher.get_grouped_opcodes(context)):
        if number or group[0][1] > 0:
            found.append(Line("gap", None, "", None, ""))
        for tag, i1, i2, j1, j2 in group:
            found += _lines(tag, left[i1:i2], right[j1:j2], i1, j1)
    return found


def _lines(tag: str, left: list[str], right: list[str], i: int, j: int) -> list[Line]:
    if tag == "equal":
        return [Line("same", i + n + 1, text, j + n + 1, text) for n, text in enumerate(left)]
    found = []
    for n in range(max(len(left), len(right))):
        has_left, has_right = n < len(left), n < len(right)
        kind: Kind = "changed" if has_left and has_right else "removed" if has_left else "added"
        found.append(
            Line(
                kind,
                i + n + 1 if has_left else None,
                left[n] if has_left else "",
                j + n + 1 if has_right else None,
                right[n] if has_right else "",
            )
        )
    return found
