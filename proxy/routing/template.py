"""Path templates: `/orders/{id}`, `/files/{name}.json`, `/things/{id}:cancel`."""

from __future__ import annotations

import re
from typing import NamedTuple

from proxy.routing.literal import RouteError, canonical_literal

FIELD = "path.value"
MAX_SEGMENTS = 64
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*)\}")
_DOTS = (b"", b".", b"..")


class Segment(NamedTuple):
    """One segment: literal text, or `before` and `after` around one parameter."""

    before: bytes
    after: bytes = b""
    name: str | None = None

    @property
    def weight(self) -> int:
        """2 for a literal, 1 for a parameter with text around it, 0 for a parameter alone."""
        if self.name is None:
            return 2
        return 1 if self.before or self.after else 0

    def accepts(self, text: bytes) -> bool:
        """Whether a path segment fits: a parameter is never empty and never a dot segment."""
        if self.name is None:
            return text == self.before
        if len(text) <= len(self.before) + len(self.after):
            return False
        if not (text.startswith(self.before) and text.endswith(self.after)):
            return False
        return self.value(text) not in _DOTS

    def value(self, text: bytes) -> bytes:
        """The parameter's part of a segment that fits."""
        return text[len(self.before) : len(text) - len(self.after)]


class Parameter(NamedTuple):
    """A name and the index of its segment."""

    name: str
    place: int


class Template(NamedTuple):
    """A parsed template; `rank` sorts the more specific first."""

    segments: tuple[Segment, ...]
    parameters: tuple[Parameter, ...]
    rank: tuple[int, int, tuple[int, ...]]

    def matches(self, path: bytes) -> bool:
        """Whether the whole path fits."""
        parts = path[1:].split(b"/", len(self.segments))
        if len(parts) != len(self.segments):
            return False
        return all(segment.accepts(part) for segment, part in zip(self.segments, parts, strict=True))

    def extract(self, path: bytes) -> dict[str, str]:
        """The values of the parameters, still percent-encoded (canonical paths are ASCII)."""
        parts = path[1:].split(b"/")
        segments = self.segments
        return {name: segments[place].value(parts[place]).decode("ascii") for name, place in self.parameters}

    @property
    def base(self) -> bytes:
        """The literal segments before the first parameter, what `strip_prefix` takes off; may be empty."""
        literals: list[bytes] = []
        for segment in self.segments:
            if segment.name is not None:
                break
            literals.append(b"/" + segment.before)
        return b"".join(literals)


def parse(value: str) -> Template:
    """Parse a template; raises RouteError. Rank: most literal segments, then the leftmost literal."""
    if not value.startswith("/"):
        raise RouteError(FIELD, "must start with '/'")
    parts = value[1:].split("/")
    if len(parts) > MAX_SEGMENTS:
        raise RouteError(FIELD, f"has more than {MAX_SEGMENTS} segments")
    segments = tuple(_segment(part, index == len(parts) - 1) for index, part in enumerate(parts))
    parameters = tuple(
        Parameter(segment.name, index) for index, segment in enumerate(segments) if segment.name is not None
    )
    names = [parameter.name for parameter in parameters]
    if len(set(names)) != len(names):
        raise RouteError(FIELD, "uses a parameter name twice")
    weights = tuple(-segment.weight for segment in segments)
    return Template(segments, parameters, (-weights.count(-2), -weights.count(-1), weights))


def _segment(part: str, last: bool) -> Segment:
    match = _PLACEHOLDER.search(part)
    if match is None:
        if "{" in part or "}" in part:
            raise RouteError(FIELD, f"{part!r}: a parameter is written {{name}}")
        if not part and not last:
            raise RouteError(FIELD, "holds an empty segment")
        return Segment(_text(part))
    before, after = part[: match.start()], part[match.end() :]
    if "{" in before + after or "}" in before + after:
        raise RouteError(FIELD, f"{part!r}: one parameter per segment, written {{name}}")
    return Segment(_affix(before), _affix(after), match[1])


def _text(part: str) -> bytes:
    return canonical_literal(FIELD, "/" + part)[1:]


def _affix(part: str) -> bytes:
    """Text beside a parameter; the letter in front keeps dots from being taken for a dot segment."""
    return canonical_literal(FIELD, "/x" + part)[2:]
