"""Reads an OpenAPI 3 document (JSON or YAML) into what the Api page shows: plain text, nothing loaded from
elsewhere, and a bound on everything.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from consoles.portal.schemas import Resolver, SchemaRow, describe, mapping, rows_of, text_of, words

MAX_JSON = 2_000_000
MAX_YAML = 500_000
MAX_VALUES = 2_000_000
"""More than JSON of `MAX_JSON` characters can hold."""
MAX_OPERATIONS = 300
MAX_PARAMETERS = 60
MAX_ANSWERS = 30
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_PLACES = ("path", "query", "header")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NEITHER = (ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError)
"""What PyYAML raises: `!!bool maybe` is a KeyError."""
_NAME = re.compile(r"[^a-z0-9]+")


class Unreadable(ValueError):
    """The document cannot be shown; the message says why."""


@dataclass(frozen=True)
class Parameter:
    """What goes into the path, the query or a header."""

    name: str
    place: str
    required: bool
    kind: str
    description: str
    example: str


@dataclass(frozen=True)
class Content:
    """A body by its media type."""

    media: str
    rows: tuple[SchemaRow, ...]
    example: str


@dataclass(frozen=True)
class Answer:
    """A response by its status."""

    status: str
    description: str
    contents: tuple[Content, ...]


@dataclass(frozen=True)
class Operation:
    """A method on a path."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    deprecated: bool
    parameters: tuple[Parameter, ...]
    body: tuple[Content, ...]
    answers: tuple[Answer, ...]


@dataclass
class Reference:
    """The whole document: operations by tag, in the document's order."""

    title: str
    version: str
    description: str
    groups: dict[str, list[Operation]] = field(default_factory=dict)
    truncated: bool = False

    @property
    def sections(self) -> list[tuple[str, list[Operation]]]:
        """The groups as pairs: templates would look for a tag called `items` in place of the method."""
        return list(self.groups.items())


@functools.lru_cache(maxsize=32)
def read(text: str) -> Reference:
    """The document for people. Raises Unreadable."""
    try:
        return _reference(_load(text))
    except RecursionError:
        raise Unreadable("It is nested too deeply.") from None


def _load(text: str) -> dict[str, Any]:
    is_json = text.lstrip()[:1] in ("{", "[")
    if len(text) > (MAX_JSON if is_json else MAX_YAML):
        raise Unreadable("It is too large.")
    try:
        found = json.loads(text) if is_json else yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader
    except _NEITHER:
        raise Unreadable("It is neither JSON nor YAML.") from None
    if _values(found, {}) > MAX_VALUES:
        raise Unreadable("Its aliases make it too large, or it is a part of itself.")
    if not isinstance(found, dict) or not isinstance(found.get("paths"), dict):
        raise Unreadable("It has no paths.")
    return found


def _values(value: Any, known: dict[int, int]) -> int:
    """How many values it holds, those of an alias as often as it is used."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_VALUES  # what holds itself has no end
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_values(one, known) for one in inner)
    return known[id(value)]


def _reference(whole: dict[str, Any]) -> Reference:
    info, resolver = mapping(whole.get("info")), Resolver(whole)
    shown = Reference(
        text_of(info.get("title")), text_of(info.get("version")), words(info.get("description"))
    )
    for number, (path, method, item, operation) in enumerate(_operations(whole, resolver)):
        if number >= MAX_OPERATIONS:
            shown.truncated = True
            break
        tags = operation.get("tags")
        tag = text_of(tags[0]) if isinstance(tags, list) and tags else ""
        shown.groups.setdefault(tag, []).append(_operation(number, path, method, item, operation, resolver))
    return shown


def _operations(whole: dict[str, Any], resolver: Resolver) -> Iterator[tuple[str, str, Any, Any]]:
    for path, raw in whole["paths"].items():
        item = mapping(resolver.follow(raw))
        for method in METHODS:
            if isinstance(item.get(method), dict):
                yield str(path), method, item, item[method]


def _operation(
    number: int, path: str, method: str, item: dict[str, Any], raw: dict[str, Any], resolver: Resolver
) -> Operation:
    answers = list(mapping(raw.get("responses")).items())[:MAX_ANSWERS]
    return Operation(
        id=f"{method}-{_NAME.sub('-', path.lower()).strip('-') or 'root'}-{number}",
        method=method.upper(),
        path=text_of(path),
        summary=text_of(raw.get("summary")),
        description=words(raw.get("description")),
        deprecated=raw.get("deprecated") is True,
        parameters=_parameters(item.get("parameters"), raw.get("parameters"), resolver),
        body=_contents(mapping(resolver.follow(raw.get("requestBody"))), resolver),
        answers=tuple(_answer(status, answer, resolver) for status, answer in answers),
    )


def _parameters(shared: Any, own: Any, resolver: Resolver) -> tuple[Parameter, ...]:
    """Those of the path and of the operation, which win."""
    found: dict[tuple[str, str], Parameter] = {}
    for raw in [*_items(shared), *_items(own)]:
        one = mapping(resolver.follow(raw))
        place, name = one.get("in"), text_of(one.get("name"))
        if place not in _PLACES or not name:
            continue
        schema = mapping(resolver.follow(one.get("schema")))
        example = one.get("example", schema.get("example", schema.get("default")))
        found[str(place), name] = Parameter(
            name,
            str(place),
            one.get("required") is True or place == "path",
            describe(schema, resolver),
            words(one.get("description")),
            text_of(example) if isinstance(example, str | int | float) else "",
        )
    return tuple(found.values())[:MAX_PARAMETERS]


def _items(value: Any) -> list[Any]:
    return value[:MAX_PARAMETERS] if isinstance(value, list) else []


def _answer(status: Any, raw: Any, resolver: Resolver) -> Answer:
    answer = mapping(resolver.follow(raw))
    return Answer(text_of(status), words(answer.get("description")), _contents(answer, resolver))


def _contents(holder: dict[str, Any], resolver: Resolver) -> tuple[Content, ...]:
    found = []
    for media, raw in list(mapping(holder.get("content")).items())[:5]:
        content = mapping(raw)
        example = content.get("example")
        if example is None:
            first = next(iter(mapping(content.get("examples")).values()), None)
            example = mapping(resolver.follow(first)).get("value")
        schema = resolver.follow(content.get("schema"))
        if example is None:
            example = mapping(schema).get("example")
        found.append(Content(text_of(media), tuple(rows_of(schema, resolver)), _pretty(example)))
    return tuple(found)


def _pretty(example: Any) -> str:
    if example is None:
        return ""
    try:
        text = example if isinstance(example, str) else json.dumps(example, indent=2, default=str)
    except (ValueError, TypeError):
        return ""
    return words(text, 4000)
