"""Saved views as a list offers them: one's own, and what others share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from django.http import QueryDict
from django.urls import reverse

from consoles.models import Role, SavedView
from consoles.ui.list_query import read
from consoles.ui.registry import families, modules

MOST_SHARED = 50
MOST_OF_ONE = 50
"""Views that one member may have, on all pages together."""


class SavedPage(NamedTuple):
    """A page whose views can be saved. `normal` gives the page's own address of what was sent.

    Lists of families are such pages by themselves; a module lists others as `saved_pages`.
    """

    name: str
    title: str
    url_name: str
    normal: Callable[[QueryDict], str]
    role: Role = Role.VIEWER

    def address(self, query: str) -> str:
        """The page just so."""
        return f"{reverse(self.url_name)}?{query}".rstrip("?")


def saved_page(name: str) -> SavedPage | None:
    """The page of that name, if it is one whose views are saved."""
    family = families().get(name)
    if family is not None and "list" not in family.pages:
        url_name = f"console:{name}-list"
        return SavedPage(
            name, family.plural, url_name, lambda given: read(family, given).state.query(), family.read
        )
    pages = [page for module in modules() for page in getattr(module, "saved_pages", ())]
    return next((page for page in pages if page.name == name), None)


class Offered(NamedTuple):
    """A view in the menu of a list; `current` tells that the list is just so."""

    view: SavedView
    mine: bool
    current: bool


class SavedMenu(NamedTuple):
    """The menu: its views, and what would be saved now."""

    page: str
    query: str
    mine: list[Offered]
    others: list[Offered]

    @property
    def current(self) -> Offered | None:
        """The view that the list shows."""
        return next((one for one in [*self.mine, *self.others] if one.current), None)


def saved_views(user: Any, page: str, query: str) -> SavedMenu:
    """The menu of a page that is as `query` says."""
    rows = SavedView.objects.filter(page=page).select_related("owner")
    mine = [Offered(row, True, row.query == query) for row in rows.filter(owner=user)]
    shared = rows.filter(shared=True).exclude(owner=user)[:MOST_SHARED]
    return SavedMenu(page, query, mine, [Offered(row, False, row.query == query) for row in shared])
