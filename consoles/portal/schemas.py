"""JSON Schemas as rows of a table: properties by their path, to a bounded depth and number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_TEXT = 200
MAX_WORDS = 3000
MAX_DEPTH = 5
MAX_ROWS = 80
MAX_HOPS = 10
MAX_CHOICES = 12


@dataclass(frozen=True)
class SchemaRow:
    """A property: its path as `items[].name`, its type, and what it means."""

    name: str
    kind: str
    required: bool
    description: str


class Resolver:
    """Follows references within one document; those to elsewhere are only named."""

    def __init__(self, whole: dict[str, Any]) -> None:
        self._whole = whole

    def follow(self, value: Any) -> Any:
        """What a reference, or a chain of them, leads to; nothing if it leads nowhere or in a circle."""
        for _ in range(MAX_HOPS):
            if not isinstance(value, dict) or "$ref" not in value:
                return value
            reference = value["$ref"]
            if not isinstance(reference, str) or not reference.startswith("#/"):
                return {"description": f"Described elsewhere: {text_of(reference)}"}
            value = self._find(reference[2:])
        return {}

    def _find(self, pointer: str) -> Any:
        here: Any = self._whole
        for part in pointer.split("/")[:MAX_HOPS]:
            here = mapping(here).get(part.replace("~1", "/").replace("~0", "~"))
        return here


def rows_of(schema: Any, resolver: Resolver) -> list[SchemaRow]:
    """The properties of a body."""
    found: list[SchemaRow] = []
    for row in _walk(schema, "", False, resolver, 0):
        if len(found) == MAX_ROWS:
            found.append(SchemaRow("…", "", False, "There is more than is shown here."))
            break
        found.append(row)
    return found


def _walk(raw: Any, name: str, required: bool, resolver: Resolver, depth: int) -> Iterator[SchemaRow]:
    schema = mapping(resolver.follow(raw))
    properties = _properties(schema, resolver)
    if (name or not properties) and schema:
        kind = describe(schema, resolver)
        yield SchemaRow(name or "(body)", kind, required, words(schema.get("description"), 600))
    if depth >= MAX_DEPTH:
        return
    for key, (value, needed) in properties.items():
        yield from _walk(value, f"{name}.{key}" if name else key, needed, resolver, depth + 1)
    if schema.get("items") is not None and _nested(schema["items"], resolver):
        yield from _inside(schema["items"], f"{name}[]", resolver, depth + 1)


def _inside(raw: Any, name: str, resolver: Resolver, depth: int) -> Iterator[SchemaRow]:
    """The properties of a list's items, without a row for the item itself."""
    rows = _walk(raw, name, False, resolver, depth)
    next(rows, None)
    yield from rows


def _nested(raw: Any, resolver: Resolver) -> bool:
    schema = mapping(resolver.follow(raw))
    return bool(_properties(schema, resolver)) or "items" in schema


def _properties(schema: dict[str, Any], resolver: Resolver) -> dict[str, tuple[Any, bool]]:
    """Name, schema and whether it must be there; parts joined by allOf count as one."""
    found: dict[str, tuple[Any, bool]] = {}
    parts = schema.get("allOf")
    for part in [*(parts[:MAX_CHOICES] if isinstance(parts, list) else []), schema]:
        one = mapping(resolver.follow(part))
        needed = one.get("required")
        names = {name for name in needed if isinstance(name, str)} if isinstance(needed, list) else set()
        for key, value in list(mapping(one.get("properties")).items())[:MAX_ROWS]:
            found[text_of(key)] = (value, key in names)
    return found


def describe(schema: dict[str, Any], resolver: Resolver) -> str:
    """A type in a few words: `integer (int64)`, `list of string`, `one of: a, b`."""
    choices = schema.get("enum")
    if isinstance(choices, list):
        more = ", …" if len(choices) > MAX_CHOICES else ""
        return "one of: " + ", ".join(text_of(choice) for choice in choices[:MAX_CHOICES]) + more
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = " or ".join(text_of(one) for one in kind[:MAX_CHOICES])
    if kind == "array":
        inner = mapping(resolver.follow(schema.get("items")))
        return f"list of {text_of(inner.get('type') or 'objects')}"
    for word in ("oneOf", "anyOf"):
        if isinstance(schema.get(word), list):
            return f"one of {len(schema[word])} kinds"
    form = schema.get("format")
    name = text_of(kind or ("object" if schema.get("properties") or schema.get("allOf") else "any"))
    return f"{name} ({text_of(form)})" if isinstance(form, str) else name


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    """One short line."""
    return "" if value is None else " ".join(str(value)[: MAX_TEXT * 2].split())[:MAX_TEXT]


def words(value: Any, most: int = MAX_WORDS) -> str:
    """Longer text, as it was written."""
    text = value.strip() if isinstance(value, str) else ""
    return text if len(text) <= most else f"{text[:most]}…"
