"""List pages: a table with search, filters, sorting and paging, whose state is all in the address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.core.paginator import Page as Slice
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from consoles import access
from consoles.ui import cells
from consoles.ui.pages import FamilyPage

PAGE_SIZES = (25, 50, 100)
MAX_OPTIONS = 500
MAX_SEARCH = 200
Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Column:
    """One column. `value` makes what is shown of a row, by default its attribute `name`; with `link` it leads
    to the row's page; `sort` is what the database orders by; `wide` hides it on narrow screens.
    """

    name: str
    label: str
    value: Callable[[Any], Any] | None = None
    sort: str = ""
    link: bool = False
    wide: bool = False
    number: bool = False

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


class Head(NamedTuple):
    """A column's head: which way it is sorted now, and what a click would sort by."""

    column: Column
    aria: str
    next: str


class ShownFilter(NamedTuple):
    """A filter with its options and the value that is chosen."""

    filter: Filter
    options: Choices
    value: str


class ShownRow(NamedTuple):
    """One line of the table."""

    url: str
    cells: list[tuple[Column, SafeString]]


class State(NamedTuple):
    """What the address says; everything that is not known is left out."""

    text: str
    chosen: dict[str, str]
    sort: str
    size: int

    @property
    def narrowed(self) -> bool:
        """Whether anything is searched or filtered for."""
        return bool(self.text or self.chosen)

    def query(self, page: int = 1) -> str:
        """The shortest address that says the same."""
        found = {"q": self.text, **self.chosen, "sort": self.sort}
        if self.size != PAGE_SIZES[0]:
            found["size"] = str(self.size)
        if page > 1:
            found["page"] = str(page)
        return urlencode({name: value for name, value in found.items() if value})


class ListPage(FamilyPage):
    """The list of a family. htmx asks for the part `objects` alone; without scripts the form does."""

    template = "ui/list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The list, or the part of it that changes."""
        filters = [
            ShownFilter(one, one.options(), request.GET.get(one.name, "").replace("\0", ""))
            for one in self.family.filters
        ]
        state = self._state(request, filters)
        part = self._select(state, filters, request.GET.get("page", "1"))
        context = {
            "family": self.family,
            "title": self.family.plural,
            "state": state,
            "filters": [one._replace(value=state.chosen.get(one.filter.name, "")) for one in filters],
            "heads": [self._head(column, state.sort) for column in self.family.columns],
            "rows": [self._shown(row) for row in part.object_list],
            "part": part,
            "unsorted": state._replace(sort="").query(),
            "pages": self._pages(part, state),
            "sizes": PAGE_SIZES,
            "may_write": access.may(request.user, self.family.write),
            "create_url": self.family.url("create") if self.family.creatable else "",
        }
        if self.wants_part != "objects":
            return self.answer(context)
        response = self.render("ui/list_part.html", context)
        response["HX-Push-Url"] = f"{request.path}?{state.query(part.number)}".rstrip("?")
        return response

    def _state(self, request: HttpRequest, filters: list[ShownFilter]) -> State:
        chosen = {
            shown.filter.name: shown.value
            for shown in filters
            if shown.value and (shown.filter.free or shown.value in {value for value, _ in shown.options})
        }
        sorts = {column.name for column in self.family.columns if column.sort}
        sort = request.GET.get("sort", "")
        size = request.GET.get("size", "")
        return State(
            text=request.GET.get("q", "").strip().replace("\0", "")[:MAX_SEARCH],
            chosen=chosen,
            sort=sort if sort.removeprefix("-") in sorts else "",
            size=int(size)
            if size.isascii() and size.isdigit() and int(size) in PAGE_SIZES
            else PAGE_SIZES[0],
        )

    def _select(self, state: State, filters: list[ShownFilter], page: str) -> Slice[Any]:
        rows = self.family.found(state.text) if state.text else self.family.rows()
        for shown in filters:
            if shown.filter.name in state.chosen:
                rows = shown.filter.narrow(rows, state.chosen[shown.filter.name])
        return Paginator(rows.order_by(*self._order(state.sort)), state.size).get_page(page)

    def _order(self, sort: str) -> list[str]:
        column = next(
            (one for one in self.family.columns if sort and one.name == sort.removeprefix("-")), None
        )
        if column is None:
            return list(self.family.order)
        sign = "-" if sort.startswith("-") else ""
        return [f"{sign}{column.sort}".replace("--", ""), "pk"]

    def _head(self, column: Column, sort: str) -> Head:
        if sort == column.name:
            return Head(column, "ascending", f"-{column.name}")
        return Head(column, "descending" if sort == f"-{column.name}" else "none", column.name)

    def _shown(self, row: Any) -> ShownRow:
        url = self.family.url("detail", row)
        shown = []
        for column in self.family.columns:
            value = column.of(row)
            shown.append((column, cells.render(cells.Link(url, str(value)) if column.link else value)))
        return ShownRow(url, shown)

    def _pages(self, part: Slice[Any], state: State) -> list[tuple[str, str, bool]]:
        """Label, address and whether it is this one, for each page that is offered."""
        if part.paginator.num_pages < 2:
            return []
        numbers = part.paginator.get_elided_page_range(part.number, on_each_side=1, on_ends=1)
        return [
            (str(number), f"?{state.query(number)}" if isinstance(number, int) else "", number == part.number)
            for number in numbers
        ]


def objects(queryset: Callable[[], QuerySet[Any]], label: str) -> Callable[[], Choices]:
    """Choices of a filter from rows, by their key; `label` is the field that names them."""

    def choices() -> Choices:
        rows = queryset().order_by(label).values_list("pk", label)[:MAX_OPTIONS]
        return [(str(pk), str(name)) for pk, name in rows]

    return choices
