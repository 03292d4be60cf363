"""Plain data (from YAML or JSON) into the document's structs, with all that does not fit, at once."""

from __future__ import annotations

import functools
import types
import typing
from typing import Any, TypeVar

import msgspec

from proxy.config import document
from proxy.config.problem import Problem
from proxy.config.snapshot import Upstream

Struct = TypeVar("Struct", bound=msgspec.Struct)

OBJECTS: dict[type[msgspec.Struct], tuple[str, str]] = {
    document.Api: ("api", "slug"),
    document.Route: ("route", "name"),
    document.Plan: ("plan", "name"),
    document.Certificate: ("certificate", "name"),
    document.Gateway: ("gateway", ""),
    Upstream: ("upstream", "name"),
}
"""Structs that problems are reported against: their kind and the field that names them."""


class Decoder:
    """Collects problems while it decodes. What is wrong falls back to its default, so that the rest of
    the document can be checked as well; an object without a usable name is left out."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.paths: dict[str, str] = {}
        """Where in the data each object stands, for line numbers."""

    def struct(
        self, kind: type[Struct], raw: Any, owner: str, field: str = "", path: str = ""
    ) -> Struct | None:
        """`raw` as a `kind`; problems are those of `owner`, `field` says where in it."""
        if not isinstance(raw, dict):
            self._refuse(owner, field, f"must be a mapping, not {_kind(raw)}")
            return None
        owner, field = self._object(kind, raw, owner, field, path)
        values: dict[str, Any] = {}
        known = _fields(kind)
        for key in raw:
            if key not in known:
                self._refuse(owner, _join(field, str(key)), f"is not known; there are {', '.join(known)}")
        for name, (wanted, required) in known.items():
            if name in raw:
                value = self.value(wanted, raw[name], owner, _join(field, name), _join(path, name))
                if value is not _WRONG:
                    values[name] = value
            elif required:
                self._refuse(owner, _join(field, name), "is missing")
        complete = all(name in values for name, (_, required) in known.items() if required)
        return kind(**values) if complete else None

    def value(self, wanted: Any, raw: Any, owner: str, field: str, path: str) -> Any:
        """`raw` as the type `wanted`, `_WRONG` if it is not."""
        inner = _struct_in(wanted)
        if raw is not None and typing.get_origin(_given(wanted)) in (tuple, list) and inner is not None:
            if not isinstance(raw, list):
                self._refuse(owner, field, f"must be a list, not {_kind(raw)}")
                return _WRONG
            items = (
                self.struct(inner, item, owner, f"{field}[{index}]", f"{path}[{index}]")
                for index, item in enumerate(raw)
            )
            return tuple(item for item in items if item is not None)
        if inner is not None and raw is not None:
            found = self.struct(inner, raw, owner, field, path)
            return _WRONG if found is None else found
        try:
            return msgspec.convert(raw, wanted)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            self._refuse(owner, field + place.rstrip("`"), reason[:1].lower() + reason[1:])
            return _WRONG

    def _object(
        self, kind: type[msgspec.Struct], raw: dict[Any, Any], owner: str, field: str, path: str
    ) -> tuple[str, str]:
        """Owner and field of what is in `raw`: objects of their own begin anew."""
        if kind not in OBJECTS:
            return owner, field
        noun, key = OBJECTS[kind]
        name = raw.get(key)
        label = noun if not key else f"{noun} {name if isinstance(name, str) else path}"
        self.paths.setdefault(label, path)
        return label, ""

    def _refuse(self, owner: str, field: str, reason: str) -> None:
        self.problems.append(Problem(owner, field, reason))


_WRONG: Any = object()


def decode(kind: type[Struct], raw: object, owner: str = "document") -> tuple[Struct | None, list[Problem]]:
    """`raw` as a `kind` and all problems; with problems, what could be read of it or None."""
    try:
        return msgspec.convert(raw, kind), []
    except msgspec.ValidationError:
        decoder = Decoder()
        found = decoder.struct(kind, raw, owner)
        return found, decoder.problems


def plain(value: Any) -> Any:
    """The document as plain data without what is default: what is equal comes out equal."""
    if isinstance(value, msgspec.Struct):
        defaults = _defaults(type(value))
        pairs = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: plain(item) for name, item in pairs if name not in defaults or item != defaults[name]}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


@functools.cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.default is not msgspec.NODEFAULT:
            found[field.name] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            found[field.name] = field.default_factory()
    return found


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, tuple[Any, bool]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: (hints[field.name], field.required) for field in msgspec.structs.fields(kind)}


def _struct_in(wanted: Any) -> type[msgspec.Struct] | None:
    """The struct that a type is or holds: itself, `struct | None`, `tuple[struct, ...]`."""
    wanted = _bare(wanted)
    if isinstance(wanted, type) and not isinstance(wanted, types.GenericAlias):
        return wanted if issubclass(wanted, msgspec.Struct) else None
    if typing.get_origin(wanted) in (types.UnionType, typing.Union, tuple, list):
        return next(filter(None, (_struct_in(part) for part in typing.get_args(wanted))), None)
    return None


def _given(wanted: Any) -> Any:
    """The type of a value that may be None but is not."""
    bare = _bare(wanted)
    if typing.get_origin(bare) not in (types.UnionType, typing.Union):
        return bare
    parts = [part for part in typing.get_args(bare) if part is not type(None)]
    return _bare(parts[0]) if len(parts) == 1 else bare


def _bare(wanted: Any) -> Any:
    """A type without what `Annotated` adds to it."""
    return typing.get_args(wanted)[0] if typing.get_origin(wanted) is typing.Annotated else wanted


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _kind(raw: object) -> str:
    return {type(None): "nothing", dict: "a mapping", list: "a list", str: "text"}.get(
        type(raw), type(raw).__name__
    )
