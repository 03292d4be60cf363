"""List pages: a table with search, filters, sorting and paging, whose state is all in the address."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.paginator import Page as Slice
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from consoles import access
from consoles.ui import cells
from consoles.ui.family import Family
from consoles.ui.list_query import ListQuery, State, read
from consoles.ui.listing import PAGE_SIZES, Column
from consoles.ui.pages import FamilyPage
from consoles.ui.saved import saved_views


class Head(NamedTuple):
    """A column's head: which way it is sorted now, and what a click would sort by."""

    column: Column
    aria: str
    next: str


class ShownRow(NamedTuple):
    """One line of the table."""

    pk: int
    name: str
    url: str
    edit_url: str
    cells: list[tuple[Column, SafeString]]


class ListPage(FamilyPage):
    """The list of a family. htmx asks for the part `objects` alone; without scripts the form does."""

    template = "ui/list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The list, or the part of it that changes."""
        asked = read(self.family, request.GET)
        state = asked.state
        part = Paginator(asked.rows(), state.size).get_page(request.GET.get("page", "1"))
        context = {
            "family": self.family,
            "title": self.family.plural,
            **self._table(asked, part),
            **self._tools(asked, part),
        }
        if self.wants_part != "objects":
            return self.answer(context)
        response = self.render("ui/list_part.html", context)
        response["HX-Push-Url"] = f"{request.path}?{state.query(part.number)}".rstrip("?")
        return response

    def _table(self, asked: ListQuery, part: Slice[Any]) -> dict[str, Any]:
        state = asked.state
        columns = state.columns_of(self.family)
        return {
            "state": state,
            "filters": asked.filters,
            "heads": [_head(column, state.sort) for column in columns],
            "rows": [_shown(self.family, row, columns) for row in part.object_list],
            "part": part,
            "unsorted": state._replace(sort="").query(),
            "pages": _pages(part, state),
            "sizes": PAGE_SIZES,
        }

    def _tools(self, asked: ListQuery, part: Slice[Any]) -> dict[str, Any]:
        """What can be done with the list as it is now."""
        user, family, state = self.request.user, self.family, asked.state
        may_write = access.may(user, family.write)
        shown = {column.name for column in state.columns_of(family)}
        return {
            "may_write": may_write,
            "create_url": family.url("create") if family.creatable else "",
            "bulk": family.bulk() if may_write else [],
            "here": state.query(part.number),
            "download": f"{family.url('download')}?{state.query()}".rstrip("?"),
            "offered": [(column, column.name in shown) for column in family.columns],
            "saved": saved_views(user, family.path, state.query()),
        }


def _head(column: Column, sort: str) -> Head:
    if sort == column.name:
        return Head(column, "ascending", f"-{column.name}")
    return Head(column, "descending" if sort == f"-{column.name}" else "none", column.name)


def _shown(family: Family, row: Any, columns: list[Column]) -> ShownRow:
    url = family.url("detail", row)
    shown = []
    for column in columns:
        value = column.of(row)
        shown.append((column, cells.render(cells.Link(url, str(value)) if column.link else value)))
    edit_url = family.url("edit", row) if family.editable else ""
    return ShownRow(row.pk, family.name(row), url, edit_url, shown)


def _pages(part: Slice[Any], state: State) -> list[tuple[str, str, bool]]:
    """Label, address and whether it is this one, for each page that is offered."""
    if part.paginator.num_pages < 2:
        return []
    numbers = part.paginator.get_elided_page_range(part.number, on_each_side=1, on_ends=1)
    return [
        (str(number), f"?{state.query(number)}" if isinstance(number, int) else "", number == part.number)
        for number in numbers
    ]
