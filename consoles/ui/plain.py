"""Values as plain text, for files: the same values that `cells` draws on pages."""

from __future__ import annotations

import datetime
import html
from typing import Any

from django.utils.html import strip_tags
from django.utils.safestring import SafeString

from consoles.ui.cells import Badge, Code, Copyable, Link, Moment, Snippet, Text

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What spreadsheets take for the beginning of a formula (OWASP, “CSV Injection”)."""


def plain(value: Any) -> str:
    """The value as text; times are UTC."""
    if value is None:
        return ""
    if isinstance(value, SafeString):
        return html.unescape(strip_tags(value))
    if isinstance(value, Badge | Code | Copyable | Link | Snippet | Text):
        return value.text
    if isinstance(value, Moment):
        return plain(value.at)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return str(value)


def harmless(value: Any) -> str:
    """A cell of a table file; what a spreadsheet would compute is marked as text."""
    text = plain(value)
    return f"'{text}" if text.startswith(FORMULA) else text
