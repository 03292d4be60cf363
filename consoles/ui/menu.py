"""The menu as data: families with a section, and what modules list as `menu`."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any, NamedTuple

from django.urls import reverse

from consoles.access import may
from consoles.models import Role
from consoles.ui.registry import families, modules

SECTIONS = ("", "Traffic", "Gateway", "Consumers", "Changes", "Settings")
"""In this order; the first has no heading."""


class Entry(NamedTuple):
    """One line of the menu. `under` is the start of the addresses that belong to it; `key` is the letter that
    leads there after `g`, by default the first of the label that is still free, else any.
    """

    section: str
    place: int
    label: str
    icon: str
    url_name: str
    role: Role = Role.VIEWER
    under: str = ""
    key: str = ""


class Item(NamedTuple):
    """An entry as it is shown on one page."""

    label: str
    icon: str
    url: str
    current: bool
    key: str = ""


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


def jump_keys(found: list[Entry]) -> dict[str, str]:
    """The letter of each entry by its URL's name: the same for every role, so that it can be learnt."""
    keys = {entry.url_name: entry.key for entry in found if entry.key}
    for entry in found:
        if entry.url_name not in keys:
            letters = (
                letter for letter in f"{entry.label.lower()}{ascii_lowercase}" if letter in ascii_lowercase
            )
            keys[entry.url_name] = next((one for one in letters if one not in keys.values()), "")
    return keys


def menu_for(user: Any, path: str) -> list[tuple[str, list[Item]]]:
    """Sections and their items, as this user sees them on the page at `path`."""
    shown: dict[str, list[Item]] = {}
    found = entries()
    keys = jump_keys(found)
    for entry in found:
        if not may(user, entry.role):
            continue
        url = reverse(entry.url_name)
        under = entry.under or url
        current = path == url or (bool(entry.section) and path.startswith(under))
        shown.setdefault(entry.section, []).append(
            Item(entry.label, entry.icon, url, current, keys[entry.url_name])
        )
    return list(shown.items())
