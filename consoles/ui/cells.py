"""Values on pages: how each kind of value looks, in tables and in lists of facts alike."""

from __future__ import annotations

import datetime
from typing import Any, Literal, NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

Colour = Literal["green", "red", "yellow", "blue", "azure", "secondary", "orange", "purple"]
MAX_ITEMS = 6
NOTHING = SafeString(
    '<span class="text-secondary"><span aria-hidden="true">–</span><span class="visually-hidden">none</span></span>'
)


class Badge(NamedTuple):
    """A state in one word; the word says it, the colour only helps."""

    text: str
    colour: Colour = "secondary"


class Link(NamedTuple):
    """Another page."""

    url: str
    text: str


class Code(NamedTuple):
    """A name, path or address as machines write it."""

    text: str


class Text(NamedTuple):
    """Longer text, kept as it was written."""

    text: str


class Moment(NamedTuple):
    """A time whose seconds matter."""

    at: datetime.datetime


class Snippet(NamedTuple):
    """A command on a block of its own, with a button that copies it."""

    text: str


class Copyable(NamedTuple):
    """Code with a button that copies it."""

    text: str


def render(value: Any) -> SafeString:
    """The value as HTML; whatever is text is escaped."""
    if value is None or value == "" or value == []:
        return NOTHING
    if isinstance(value, SafeString):
        return value
    maker = _MAKERS.get(type(value))
    return maker(value) if maker else format_html("{}", value)


def ticks(text: str) -> SafeString:
    """Text in which `words` in backticks become code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return format_html("{}", text)
    drawn = (format_html("<code>{}</code>", part) if index % 2 else part for index, part in enumerate(parts))
    return format_html_join("", "{}", ((part,) for part in drawn))


def _badge(value: Badge) -> SafeString:
    return format_html('<span class="badge bg-{}-lt">{}</span>', value.colour, value.text)


def _link(value: Link) -> SafeString:
    return format_html('<a href="{}">{}</a>', value.url, value.text)


def _code(value: Code) -> SafeString:
    return format_html('<code class="text-break">{}</code>', value.text) if value.text else render(None)


def _text(value: Text) -> SafeString:
    return format_html('<div class="as-written">{}</div>', value.text) if value.text else render(None)


def _copyable(value: Copyable) -> SafeString:
    return format_html(
        '<span class="copyable"><code class="text-break">{0}</code>'
        '<button type="button" class="btn btn-sm btn-ghost-secondary" data-copy="{0}">Copy</button></span>',
        value.text,
    )


def _bool(value: bool) -> SafeString:
    return format_html("{}", "yes" if value else "no")


def _number(value: int) -> SafeString:
    return format_html('<span class="number">{}</span>', f"{value:,}")


def _float(value: float) -> SafeString:
    return format_html('<span class="number">{}</span>', f"{value:g}")


def _time(value: datetime.datetime) -> SafeString:
    """In UTC; the script turns it into the viewer's own time."""
    utc = value.astimezone(datetime.UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        utc.isoformat(timespec="seconds"),
        utc.strftime("%Y-%m-%d %H:%M:%S UTC"),
        utc.strftime("%Y-%m-%d %H:%M UTC"),
    )


def _moment(value: Moment) -> SafeString:
    utc = value.at.astimezone(datetime.UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC" data-seconds>{} UTC</time>',
        utc.isoformat(timespec="milliseconds"),
        f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03}",
        f"{utc:%Y-%m-%d %H:%M:%S}",
    )


def _snippet(value: Snippet) -> SafeString:
    return format_html(
        '<pre class="snippet" tabindex="0">{0}</pre>'
        '<button type="button" class="btn btn-sm" data-copy="{0}">Copy</button>',
        value.text,
    )


def _items(value: list[Any] | tuple[Any, ...]) -> SafeString:
    shown = [render(Code(item) if isinstance(item, str) else item) for item in value[:MAX_ITEMS]]
    more = f" and {len(value) - MAX_ITEMS} more" if len(value) > MAX_ITEMS else ""
    return format_html("{}{}", format_html_join(" ", "{}", ((item,) for item in shown)), more)


_MAKERS: dict[type, Any] = {
    Badge: _badge,
    Link: _link,
    Code: _code,
    Text: _text,
    Copyable: _copyable,
    Moment: _moment,
    Snippet: _snippet,
    bool: _bool,
    int: _number,
    float: _float,
    datetime.datetime: _time,
    list: _items,
    tuple: _items,
}
