"""What templates of the console can use without loading it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django import template
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from consoles.ui import cells
from consoles.ui.family import Family

register = template.Library()


@functools.cache
def _version(name: str) -> str:
    path = finders.find(name)
    if not isinstance(path, str):
        raise template.TemplateSyntaxError(f"there is no static file {name}")
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:10]


@register.simple_tag
def asset(name: str) -> str:
    """The address of a static file; it changes with the content, so that browsers may keep it for long."""
    return f"{static(name)}?v={_version(name)}"


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """An icon beside a text that says the same."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        extra,
        asset("vendor/icons.svg"),
        name,
    )


@register.filter
def cell(value: Any) -> SafeString:
    """Any value as it looks on pages."""
    return cells.render(value)


@register.filter
def ticks(text: Any) -> SafeString:
    """Text in which `words` in backticks become code."""
    return cells.ticks(text)


@register.filter
def at(mapping: Mapping[str, Any], key: str) -> Any:
    """`mapping[key]`, nothing if it is not there."""
    return mapping.get(key, "")


@register.filter
def percent(share: float) -> str:
    """A share from 0 to 1 in percent, without fake precision."""
    return "0 %" if not share else "under 0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


@register.filter
def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


@register.simple_tag
def querystring_with(given: Mapping[str, str] | None, name: str, value: Any) -> str:
    """The query of an address with one more or another value."""
    return urlencode({**(given or {}), name: str(value)})


@register.simple_tag
def family_url(family: Family, page: str, row: Any = None) -> str:
    """The address of a family's page."""
    return family.url(page, row)
