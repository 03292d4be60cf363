"""YAML as a safe, strict data language: plain values only, no duplicate keys, bounded, with line numbers."""

from __future__ import annotations

from typing import Any

import yaml

MAX_CHARACTERS = 64 * 1024 * 1024
MAX_NODES = 5_000_000
MAX_DEPTH = 40

_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class BadYaml(Exception):
    """The text is not YAML that we take; `line` counts from 1, 0 if there is none to name."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class Parsed:
    """The data, and the line of everything in it by its path (`apis[0].routes[2].path.value`)."""

    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._nodes = 0
        if len(text) > MAX_CHARACTERS:
            raise BadYaml(f"the file is longer than {MAX_CHARACTERS} characters")
        try:
            _check_depth(text)
            self._loader = _Base(text)
            try:
                root = self._loader.get_single_node()
                self.data: Any = None if root is None else self._build(root, "", ())
            finally:
                self._loader.dispose()
        except yaml.MarkedYAMLError as error:
            raise BadYaml(
                error.problem or str(error), _line(error.problem_mark or error.context_mark)
            ) from None
        except (yaml.YAMLError, ValueError) as error:
            raise BadYaml(str(error)) from None

    def line(self, path: str) -> int:
        """The line of a path, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 0)

    def _build(self, node: Any, path: str, around: tuple[int, ...]) -> Any:
        """Values of a node; anchors are followed each time, so what they multiply is counted."""
        self._nodes += 1
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if self._nodes > MAX_NODES:
            raise BadYaml(f"the file holds more than {MAX_NODES} values", line)
        if id(node) in around:
            raise BadYaml("an alias refers to what it is a part of", line)
        around = (*around, id(node))
        if len(around) > MAX_DEPTH:
            raise BadYaml(f"nested more than {MAX_DEPTH} deep", line)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
            raise BadYaml(f"the tag {node.tag!r} is not supported", line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, around)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, f"{path}[{index}]", around) for index, item in enumerate(node.value)]
        return self._scalar(node, line)

    def _scalar(self, node: Any, line: int) -> Any:
        """PyYAML's constructors raise whatever they run into: `!!bool maybe` is a KeyError."""
        try:
            return self._loader.construct_object(node)
        except (ValueError, LookupError, AttributeError):
            kind = node.tag.rpartition(":")[2]
            raise BadYaml(f"{node.value[:40]!r} is no {kind}", line) from None

    def _mapping(self, node: Any, path: str, around: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise BadYaml("a key must be plain text", line)
            key = key_node.value
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise BadYaml("'<<' is not supported; write the values out", line)
            if key in found:
                raise BadYaml(f"the key {key!r} is there twice", line)
            place = f"{path}.{key}" if path else key
            found[key] = self._build(value_node, place, around)
            self.lines[place] = line
        return found


def _check_depth(text: str) -> None:
    """Refuse deep nesting before anything recursive sees it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise BadYaml(f"nested more than {MAX_DEPTH} deep", _line(event.start_mark))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(mark: Any) -> int:
    return mark.line + 1 if mark else 0


class _Dumper(_BaseDumper):  # type: ignore[misc]
    """Block style, long texts as literal blocks, no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        """Every value is written out."""
        return True


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(data: object) -> str:
    """Plain data as YAML, keys in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
