"""What a family declares of its list: columns and filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

PAGE_SIZES = (25, 50, 100)
MAX_OPTIONS = 500
MAX_SEARCH = 200
Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """One column. `value` makes what is shown of a row, by default its attribute `name`; with `link` it leads
    to the row's page; `sort` is what the database orders by; `wide` hides it on narrow screens; `extra` shows
    it only to who chooses it, and in files.
    """

    name: str
    label: str
    value: Callable[[Any], Any] | None = None
    sort: str = ""
    link: bool = False
    wide: bool = False
    number: bool = False
    extra: bool = False

    def of(self, row: Any) -> Any:
        """What is shown of a row."""
        return self.value(row) if self.value else getattr(row, self.name)


@dataclass(frozen=True)
class Filter:
    """A choice that narrows the list: rows whose `lookup` is the chosen value, or what `apply` leaves."""

    name: str
    label: str
    choices: Choices | Callable[[], Choices]
    lookup: str = ""
    apply: Callable[[QuerySet[Any], str], QuerySet[Any]] | None = None
    free: bool = False
    """Takes any value, but only from links: nobody is asked for it."""

    def options(self) -> Choices:
        """Values and their names."""
        return list(self.choices()) if callable(self.choices) else list(self.choices)

    def narrow(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows that the value means."""
        if self.apply:
            return self.apply(rows, value)
        return rows.filter(**{self.lookup or self.name: value})


def objects(queryset: Callable[[], QuerySet[Any]], label: str) -> Callable[[], Choices]:
    """Choices of a filter from rows, by their key; `label` is the field that names them."""

    def choices() -> Choices:
        rows = queryset().order_by(label).values_list("pk", label)[:MAX_OPTIONS]
        return [(str(pk), str(name)) for pk, name in rows]

    return choices
