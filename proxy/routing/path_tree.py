"""Finding the prefixes and the templates that a path matches, at a cost that its depth decides."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from proxy.routing.template import Segment, Template

if TYPE_CHECKING:
    from proxy.routing.compiled import CompiledRoute

Found = TypeVar("Found")
_MISSING: Any = object()


class Leaf:
    """The Routes of one path of one host, in order of precedence.

    `sure` is the first one if it takes every request: the usual case needs no further look.
    """

    __slots__ = ("routes", "sure")

    def __init__(self) -> None:
        self.routes: list[CompiledRoute] = []
        self.sure: CompiledRoute | None = None

    def add(self, route: CompiledRoute) -> None:
        """Put a Route in its place."""
        insort(self.routes, route, key=_key)
        first = self.routes[0]
        self.sure = first if first.methods is None and first.test is None else None


def _key(route: CompiledRoute) -> tuple[bool, int, int, int, str]:
    return route.key


class Prefixes(Generic[Found]):
    """What is found by whole-segment prefixes; `/a` takes `/a`, `/a/` and `/a/b`, not `/ab`.

    One dictionary asked from the longest prefix down, at slashes only and only at lengths that occur: with
    very many Routes, few steps through memory matter more than few instructions.
    """

    __slots__ = ("_by_path", "_lengths", "_longest", "root")

    def __init__(self) -> None:
        self._by_path: dict[bytes, Found] = {}
        self._lengths: set[int] = set()
        self._longest = 0
        self.root: Found | None = None
        """What `/` takes."""

    def put(self, prefix: bytes, found: Found) -> None:
        """Have something found by a prefix, which is canonical and has no slash at its end."""
        self._by_path[prefix] = found
        self._lengths.add(len(prefix))
        self._longest = max(self._longest, len(prefix))

    def get(self, prefix: bytes) -> Found | None:
        """What this very prefix finds."""
        return self._by_path.get(prefix)

    def drop(self, prefix: bytes) -> None:
        """Have it not found any more."""
        self._by_path.pop(prefix, None)

    def known(self) -> list[bytes]:
        """All prefixes."""
        return [*self._by_path, *([] if self.root is None else [b"/"])]

    def longest(self, path: bytes) -> Found | None:
        """What the longest prefix finds."""
        end = len(path)
        if end > self._longest:
            end = path.rfind(b"/", 0, self._longest + 1)
        lengths = self._lengths
        while end > 0:
            if end in lengths:
                found: Found | None = self._by_path.get(path[:end], _MISSING)
                if found is not _MISSING:
                    return found
            end = path.rfind(b"/", 0, end)
        return self.root

    def all(self, path: bytes) -> Iterator[Found]:
        """What all prefixes of the path find, longest first."""
        end = len(path)
        if end > self._longest:
            end = path.rfind(b"/", 0, self._longest + 1)
        while end > 0:
            if end in self._lengths and (prefix := path[:end]) in self._by_path:
                yield self._by_path[prefix]
            end = path.rfind(b"/", 0, end)
        if self.root is not None:
            yield self.root


class PrefixLeaves(Prefixes[Leaf]):
    """The prefixes of one host."""

    __slots__ = ()

    def add(self, prefix: bytes, route: CompiledRoute) -> Leaf:
        """Add a Route; `/` is the prefix of all."""
        if prefix == b"/":
            leaf = self.root = self.root or Leaf()
        else:
            leaf = self.get(prefix) or Leaf()
            self.put(prefix, leaf)
        leaf.add(route)
        return leaf


class TemplateNode:
    """One segment of the template tree: literal children, parameters with text around, a parameter alone."""

    __slots__ = ("leaf", "literals", "mixed", "parameter", "rank")

    def __init__(self) -> None:
        self.literals: dict[bytes, TemplateNode] = {}
        self.mixed: dict[tuple[bytes, bytes], tuple[Segment, TemplateNode]] = {}
        self.parameter: TemplateNode | None = None
        self.leaf: Leaf | None = None
        self.rank: tuple[int, int, tuple[int, ...], tuple[Segment, ...]] = (0, 0, (), ())

    def child(self, segment: Segment) -> TemplateNode:
        """The node below, made if it is not there; the names of parameters make no difference."""
        if segment.name is None:
            return self.literals.setdefault(segment.before, TemplateNode())
        if segment.weight == 0:
            if self.parameter is None:
                self.parameter = TemplateNode()
            return self.parameter
        return self.mixed.setdefault(segment[:2], (segment, TemplateNode()))[1]

    def below(self, text: bytes, found: list[TemplateNode]) -> None:
        """Add the children that take this segment to those found."""
        literal = self.literals.get(text)
        if literal is not None:
            found.append(literal)
        if self.mixed:
            found += [node for segment, node in self.mixed.values() if segment.accepts(text)]
        if text and self.parameter is not None:
            found.append(self.parameter)


class TemplateTree:
    """All templates of one host."""

    __slots__ = ("depth", "root")

    def __init__(self) -> None:
        self.root = TemplateNode()
        self.depth = 0

    def add(self, template: Template, route: CompiledRoute) -> None:
        """Add a Route."""
        self.depth = max(self.depth, len(template.segments))
        node = self.root
        for segment in template.segments:
            node = node.child(segment)
        if node.leaf is None:
            node.leaf = Leaf()
            node.rank = (*template.rank, tuple(Segment(*segment[:2]) for segment in template.segments))
        node.leaf.add(route)

    def find(self, path: bytes) -> list[Leaf]:
        """The Routes of all templates that take the path, most specific first.

        The nodes looked at per segment are at most the templates of the host, whatever the path is.
        """
        parts = path[1:].split(b"/", self.depth)
        if len(parts) > self.depth:
            return []
        nodes = [self.root]
        for part in parts:
            found: list[TemplateNode] = []
            for node in nodes:
                node.below(part, found)
            if not found:
                return []
            nodes = found
        if len(nodes) > 1:
            nodes.sort(key=_rank)
        return [node.leaf for node in nodes if node.leaf is not None]


def _rank(node: TemplateNode) -> tuple[int, int, tuple[int, ...], tuple[Segment, ...]]:
    return node.rank
