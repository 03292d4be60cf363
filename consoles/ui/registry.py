"""Finds page families and pages: every module in `consoles/admin/`; there is no list to edit."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

from django.db import models
from django.urls import URLPattern, path

import consoles.admin
from consoles.ui.family import Family


@functools.cache
def modules() -> list[ModuleType]:
    """All modules of the console's pages."""
    names = sorted(module.name for module in pkgutil.iter_modules(consoles.admin.__path__))
    return [importlib.import_module(f"consoles.admin.{name}") for name in names]


@functools.cache
def families() -> dict[str, Family]:
    """All page families by their path."""
    found = [
        member()
        for module in modules()
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Family) and member.__module__ == module.__name__
    ]
    return {family.path: family for family in found}


def family_of(model: type[models.Model] | str) -> Family | None:
    """The family of a model, by the model or its name in lower case."""
    name = model if isinstance(model, str) else model._meta.model_name
    return _by_model().get(name or "")


@functools.cache
def _by_model() -> dict[str, Family]:
    return {family.model._meta.model_name or "": family for family in families().values()}


def link_to(row: Any) -> Any:
    """A link to the page of any object; its name if it has no page."""
    if row is None:
        return None
    family = family_of(type(row))
    return family.link(row) if family else str(row)


def urls() -> list[URLPattern]:
    """The pages of all families, and those that the modules list as `urlpatterns`."""
    found: list[URLPattern] = []
    for module in modules():
        found += getattr(module, "urlpatterns", [])
    for family in families().values():
        found += _family_urls(family)
    return found


def _family_urls(family: Family) -> list[URLPattern]:
    from consoles.ui import bulk, changing, detail, download, list_page

    listed = "list" not in family.pages
    kinds: list[tuple[str, str, Any, bool]] = [
        ("create", "new/", changing.CreatePage, family.creatable),
        ("list", "", list_page.ListPage, True),
        ("download", "download/", download.DownloadPage, listed),
        ("bulk", "bulk/", bulk.BulkPage, listed and bool(family.bulk())),
        ("detail", "<int:pk>/", detail.DetailPage, True),
        ("edit", "<int:pk>/edit/", changing.EditPage, family.editable),
        ("delete", "<int:pk>/delete/", changing.DeletePage, family.deletable),
    ]
    found = []
    for page, address, kind, wanted in kinds:
        kind = family.pages.get(page, kind)
        if wanted and kind is not None:
            view = kind.as_view(family=family)
            found.append(path(f"{family.path}/{address}", view, name=f"{family.path}-{page}"))
    return [*family.extra_urls(), *found]
