"""What the address of a list says, and the rows that it means: the same for page, file and bulk action."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import QueryDict

from consoles.ui.family import Family
from consoles.ui.listing import MAX_SEARCH, PAGE_SIZES, Choices, Column, Filter


class ShownFilter(NamedTuple):
    """A filter with its options and the value that is chosen."""

    filter: Filter
    options: Choices
    value: str


class State(NamedTuple):
    """What the address says; everything that is not known is left out."""

    text: str
    chosen: dict[str, str]
    sort: str
    size: int
    columns: tuple[str, ...] = ()
    """Names of the chosen columns; empty where nobody chose any."""

    @property
    def narrowed(self) -> bool:
        """Whether anything is searched or filtered for."""
        return bool(self.text or self.chosen)

    def query(self, page: int = 1) -> str:
        """The shortest address that says the same."""
        found = {"q": self.text, **self.chosen, "sort": self.sort}
        if self.size != PAGE_SIZES[0]:
            found["size"] = str(self.size)
        pairs = [(name, value) for name, value in found.items() if value]
        pairs += [("column", name) for name in self.columns]
        if page > 1:
            pairs.append(("page", str(page)))
        return urlencode(pairs)

    def columns_of(self, family: Family) -> list[Column]:
        """The columns that the page shows."""
        if not self.columns:
            return [column for column in family.columns if not column.extra]
        return [column for column in family.columns if column.name in self.columns]


class ListQuery(NamedTuple):
    """The state and the filters of a list, read from its address."""

    family: Family
    state: State
    filters: list[ShownFilter]

    def rows(self) -> QuerySet[Any]:
        """The rows that are meant, in order."""
        state = self.state
        rows = self.family.found(state.text) if state.text else self.family.rows()
        for shown in self.filters:
            if shown.filter.name in state.chosen:
                rows = shown.filter.narrow(rows, state.chosen[shown.filter.name])
        return rows.order_by(*self._order())

    def _order(self) -> list[str]:
        name = self.state.sort.removeprefix("-")
        column = next((one for one in self.family.columns if name and one.name == name), None)
        if column is None:
            return list(self.family.order)
        sign = "-" if self.state.sort.startswith("-") else ""
        return [f"{sign}{column.sort}".replace("--", ""), "pk"]


def read(family: Family, given: QueryDict) -> ListQuery:
    """The address of a family's list; nonsense in it means nothing."""
    filters = [
        ShownFilter(one, one.options(), given.get(one.name, "").replace("\0", "")) for one in family.filters
    ]
    chosen = {
        shown.filter.name: shown.value
        for shown in filters
        if shown.value and (shown.filter.free or shown.value in {value for value, _ in shown.options})
    }
    sorts = {column.name for column in family.columns if column.sort}
    sort = given.get("sort", "")
    state = State(
        text=given.get("q", "").strip().replace("\0", "")[:MAX_SEARCH],
        chosen=chosen,
        sort=sort if sort.removeprefix("-") in sorts else "",
        size=_size(given.get("size", "")),
        columns=_columns(family, given.getlist("column")),
    )
    shown = [one._replace(value=chosen.get(one.filter.name, "")) for one in filters]
    return ListQuery(family, state, shown)


def _size(text: str) -> int:
    return int(text) if text in {str(size) for size in PAGE_SIZES} else PAGE_SIZES[0]


def _columns(family: Family, names: list[str]) -> tuple[str, ...]:
    """The chosen ones in the order of the table, nothing if they are the usual ones."""
    found = tuple(column.name for column in family.columns if column.name in names)
    usual = tuple(column.name for column in family.columns if not column.extra)
    return () if found == usual else found
