"""Regular expressions of admins that clients' bytes meet: compiled only if they cannot run away.

Python's `re` backtracks. A pattern that can split one text in exponentially many ways, or in more than
quadratically many, is refused when the configuration is published; with the cap on the subject's length a
look-up then has a bound. The check reads the standard library's own parse tree.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, NamedTuple

from proxy.routing.literal import RouteError

MAX_SUBJECT = 2048
"""Bytes; a longer path or value matches no regular expression."""
MAX_PATTERN = 1000
_WIDE = 16
"""From how many repetitions on a repeat counts when splits are counted."""
_ALL = frozenset(range(256))
_CATEGORIES = {
    "CATEGORY_DIGIT": frozenset(b"0123456789"),
    "CATEGORY_SPACE": frozenset(b" \t\n\r\f\v"),
    "CATEGORY_WORD": frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
}
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_IGNORES_CASE = re.compile(r"\(\?[a-z]*i")
_parser: Any = import_module("re._parser")


class Item(NamedTuple):
    """A part of a sequence: the bytes it can hold, how often, and whether it can match in several lengths."""

    bytes: frozenset[int]
    variable: bool = False
    wide: bool = False
    branch: bool = False


def compile_safe(field: str, value: str) -> re.Pattern[bytes]:
    """Compile a pattern that must match the whole subject. Raises RouteError naming `field`."""
    if not value.isascii():
        raise RouteError(field, "may hold ASCII only: in paths, other letters are percent-encoded")
    if len(value) > MAX_PATTERN:
        raise RouteError(field, f"is longer than {MAX_PATTERN} characters")
    try:
        compiled = re.compile(value.encode("ascii"))
        tree = _parser.parse(value.encode("ascii"))
    except (re.error, OverflowError, RecursionError) as error:
        raise RouteError(field, f"is not a regular expression: {error}") from None
    checker = _Checker(field, _IGNORES_CASE.search(value) is not None)
    checker.degree(checker.items(tree))
    return compiled


class _Checker:
    """Walks a parse tree, raising RouteError at the first construct that can run away."""

    def __init__(self, field: str, ignores_case: bool) -> None:
        self.field = field
        self.ignores_case = ignores_case

    def items(self, tree: Any) -> list[Item]:
        """A sequence as items, groups opened, everything inside repeats checked."""
        found: list[Item] = []
        for op, argument in tree:
            found += self._item(str(op), argument)
        return found

    def _item(self, op: str, argument: Any) -> list[Item]:
        if op == "SUBPATTERN":
            return self.items(argument[3])
        if op == "ATOMIC_GROUP":
            return self.items(argument)
        if op in _REPEATS:
            return [self._repeat(*argument)]
        if op == "BRANCH":
            return [self._branch(argument[1])]
        if op in ("ASSERT", "ASSERT_NOT"):
            self.degree(self.items(argument[1]))
            return []
        if op in ("GROUPREF", "GROUPREF_EXISTS"):
            raise RouteError(
                self.field, "may not refer back to a group: that cannot be matched in bounded time"
            )
        return [] if op == "AT" else [Item(self._bytes(op, argument))]

    def _repeat(self, low: int, high: int, body: Any) -> Item:
        items = self.items(body)
        if high > 1:
            self._check_nesting(items)
        self.degree(items)
        wide = high >= _WIDE or any(item.wide for item in items)
        return Item(_union(items), variable=low != high or any(item.variable for item in items), wide=wide)

    def _check_nesting(self, items: list[Item]) -> None:
        """Inside a repeat one text may have one reading only, else there are exponentially many."""
        if any(item.branch for item in items):
            raise RouteError(self.field, "repeats alternatives that one text can match in several ways")
        variable = [item for item in items if item.variable]
        if not variable:
            return
        separated = any(not item.variable and not item.bytes & variable[0].bytes for item in items)
        if len(variable) > 1 or not separated:
            raise RouteError(self.field, "nests repeats without a separator between them: (a+)* can run away")

    def _branch(self, alternatives: list[Any]) -> Item:
        """Alternatives of fixed length whose first bytes all differ are harmless even when repeated."""
        parts = [self.items(alternative) for alternative in alternatives]
        for part in parts:
            self.degree(part)
        flat = [item for part in parts for item in part]
        firsts = [part[0].bytes if part else _ALL for part in parts]
        distinct = sum(len(first) for first in firsts) == len(frozenset().union(*firsts))
        variable = any(item.variable or item.branch for item in flat)
        same = len({len(part) for part in parts}) == 1
        return Item(
            _union(flat),
            variable=variable or not same,
            wide=any(item.wide for item in flat),
            branch=variable or not distinct,
        )

    def degree(self, items: list[Item]) -> None:
        """Refuse sequences in which one text can be shared out among three wide repeats or more."""
        degrees: list[int] = []
        wide = [index for index, item in enumerate(items) if item.wide]
        if wide and wide[-1] == len(items) - 1 and len(items[-1].bytes) >= 255:
            wide.pop()  # A final `.*` takes the rest, whatever it is: nothing after it can fail.
        for index in wide:
            before = [
                degrees[place]
                for place, other in enumerate(wide[: len(degrees)])
                if _share(items, other, index)
            ]
            degrees.append(1 + max(before, default=0))
        if max(degrees, default=0) > 2:
            raise RouteError(
                self.field, "has too many repeats that match the same text; put separators between them"
            )

    def _bytes(self, op: str, argument: Any) -> frozenset[int]:
        if op == "LITERAL":
            return self._cased(frozenset((argument,)))
        if op == "NOT_LITERAL":
            return _ALL - frozenset((argument,))
        if op == "ANY":
            return _ALL - frozenset(b"\n")
        if op != "IN":
            return _ALL
        negated = bool(argument) and str(argument[0][0]) == "NEGATE"
        found: frozenset[int] = frozenset()
        for kind, value in argument[1 if negated else 0 :]:
            found |= _members(str(kind), value)
        return _ALL - found if negated else self._cased(found)

    def _cased(self, members: frozenset[int]) -> frozenset[int]:
        if not self.ignores_case:
            return members
        text = bytes(members)
        return frozenset(text.lower() + text.upper())


def _members(kind: str, value: Any) -> frozenset[int]:
    if kind == "LITERAL":
        return frozenset((value,))
    if kind == "RANGE":
        return frozenset(range(value[0], value[1] + 1))
    name = str(value)
    if name.startswith("CATEGORY_NOT_"):
        return _ALL - _CATEGORIES[name.replace("NOT_", "")]
    return _CATEGORIES[name]


def _union(items: list[Item]) -> frozenset[int]:
    return frozenset().union(*(item.bytes for item in items))


def _share(items: list[Item], first: int, second: int) -> bool:
    """Whether text can move from one repeat to the other: nothing between them ends what both can hold."""
    common = items[first].bytes & items[second].bytes
    if not common:
        return False
    return not any(not item.variable and not item.bytes & common for item in items[first + 1 : second])
