"""JSON schemas of single fields, from the structs that validate them."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

Schema = dict[str, Any]


@functools.cache
def shapes_of(kind: type[msgspec.Struct]) -> dict[str, Schema]:
    """The schema of each field of a struct, references resolved."""
    (schema,), components = msgspec.json.schema_components(
        [kind], ref_template="{name}", schema_hook=lambda _: {"description": "Any value."}
    )
    own = components.get(str(schema.get("$ref", "")), schema)
    return {name: inlined(part, components) for name, part in own.get("properties", {}).items()}


def inlined(part: Any, components: dict[str, Schema]) -> Any:
    """The schema with what it refers to in its place, and nothing of Python's in it."""
    if isinstance(part, list):
        return [inlined(one, components) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        rest = {name: value for name, value in part.items() if name != "$ref"}
        return inlined({**components[str(part["$ref"])], **rest}, components)
    return {name: inlined(value, components) for name, value in part.items()}
