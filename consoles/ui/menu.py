"""The menu as data: families with a section, and what modules list as `menu`."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.urls import reverse

from consoles.access import may
from consoles.models import Role
from consoles.ui.registry import families, modules

SECTIONS = ("", "Traffic", "Gateway", "Consumers", "Changes", "Settings")
"""In this order; the first has no heading."""


class Entry(NamedTuple):
    """One line of the menu. `under` is the start of the addresses that belong to it."""

    section: str
    place: int
    label: str
    icon: str
    url_name: str
    role: Role = Role.VIEWER
    under: str = ""


class Item(NamedTuple):
    """An entry as it is shown on one page."""

    label: str
    icon: str
    url: str
    current: bool


def entries() -> list[Entry]:
    """All entries, in order."""
    found = [
        Entry(
            family.section,
            family.place,
            family.plural,
            family.icon,
            f"console:{family.path}-list",
            family.read,
        )
        for family in families().values()
        if family.section
    ]
    for module in modules():
        found += getattr(module, "menu", [])
    return sorted(found, key=lambda entry: (SECTIONS.index(entry.section), entry.place, entry.label))


def menu_for(user: Any, path: str) -> list[tuple[str, list[Item]]]:
    """Sections and their items, as this user sees them on the page at `path`."""
    shown: dict[str, list[Item]] = {}
    for entry in entries():
        if not may(user, entry.role):
            continue
        url = reverse(entry.url_name)
        under = entry.under or url
        current = path == url or (bool(entry.section) and path.startswith(under))
        shown.setdefault(entry.section, []).append(Item(entry.label, entry.icon, url, current))
    return list(shown.items())
