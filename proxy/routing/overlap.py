"""Routes that get in each other's way: reported when a configuration is edited or published.

Two Routes are compared only if they ask for the very same host and path, or if one is a prefix above the
other; a pair that only a clever request could satisfy both of (two regular expressions) is not looked for.
Work per Route is bounded, so ten thousand Routes are checked in well under a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from proxy.config.snapshot import Route, ValueMatch
from proxy.routing.compiled import CompiledRoute
from proxy.routing.literal import RouteError

MAX_FOUND = 1000
MAX_RIVALS = 50
"""How many Routes of one host and path each further one is compared with."""


class Overlap(NamedTuple):
    """`winner` goes before `loser` (names of Routes); `unreachable` if the loser never gets a request."""

    winner: str
    loser: str
    reason: str
    unreachable: bool


Key = tuple[bytes, str, object]
_CATCH_ALL = (b".*", b"/.*", b"(.*)", b"/(.*)", b"^.*$", b"^/.*$", b"^/.*", b".+")


def find_overlaps(routes: Sequence[Route], limit: int = MAX_FOUND) -> list[Overlap]:
    """Unreachable Routes first, then pairs that only their age keeps apart; at most `limit`.

    Routes that cannot be compiled are left out: `problems` reports them. So are retired ones, which never
    take a request from another.
    """
    compiled = sorted(_compile(route for route in routes if not route.retired), key=lambda route: route.key)
    groups = _grouped(compiled)
    unreachable: list[Overlap] = []
    ambiguous: list[Overlap] = []
    for route in compiled:
        covering = _covering(route, groups)
        if covering is not None:
            unreachable.append(covering)
        elif len(ambiguous) < limit:
            ambiguous += _ties(route, groups)
        if len(unreachable) >= limit:
            break
    return (unreachable + ambiguous)[:limit]


def _compile(routes: Iterable[Route]) -> Iterator[CompiledRoute]:
    for index, route in enumerate(routes):
        try:
            yield CompiledRoute(route, index)
        except RouteError:
            continue


def _path_key(route: CompiledRoute) -> tuple[str, object]:
    if route.template is not None:
        return "template", tuple(
            segment[:2] if segment.name else segment.before for segment in route.template.segments
        )
    if route.pattern is not None:
        return "regex", route.pattern.pattern
    return route.config.path.kind, route.literal


def _grouped(routes: list[CompiledRoute]) -> dict[Key, list[CompiledRoute]]:
    """Routes by host and path, in order of precedence."""
    groups: dict[Key, list[CompiledRoute]] = {}
    for route in routes:
        for host in route.hosts or (b"",):
            groups.setdefault((host, *_path_key(route)), []).append(route)
    return groups


def _rivals(
    route: CompiledRoute, host: bytes, groups: dict[Key, list[CompiledRoute]]
) -> Iterator[CompiledRoute]:
    """Those that go before the Route at the same host and path."""
    for rival in groups[(host, *_path_key(route))][:MAX_RIVALS]:
        if rival is route:
            return
        yield rival


def _covering(route: CompiledRoute, groups: dict[Key, list[CompiledRoute]]) -> Overlap | None:
    """The Routes that together, or the one that alone, take every request this one could take."""
    winners: dict[str, None] = {}
    for host in route.hosts or (b"",):
        rivals = chain(_catch_all(route, host, groups), _rivals(route, host, groups))
        winner = next((rival for rival in rivals if covers(rival, route)), None)
        if winner is None:
            return None
        winners[winner.config.name] = None
    first, *others = winners
    also = f" (with {', '.join(others)})" if others else ""
    reason = f"{first}{also} goes first and takes every request that has this Route's host and path"
    return Overlap(first, route.config.name, reason, True)


def _catch_all(
    route: CompiledRoute, host: bytes, groups: dict[Key, list[CompiledRoute]]
) -> Iterator[CompiledRoute]:
    """Regular expressions that take every path go before all prefixes of their host."""
    if route.config.path.kind == "prefix":
        for everything in _CATCH_ALL:
            yield from groups.get((host, "regex", everything), ())[:MAX_RIVALS]


def covers(first: CompiledRoute, second: CompiledRoute) -> bool:
    """Whether the methods and conditions of the first hold wherever those of the second do."""
    if first.methods is not None and (second.methods is None or not second.methods <= first.methods):
        return False
    if first.test is None:
        return True
    return _implied(_conditions(first.config), _conditions(second.config))


class Condition(NamedTuple):
    """A header or query condition in a form that compares: header names in lower case, no idle values."""

    header: bool
    name: str
    kind: str
    value: str


@lru_cache(maxsize=1024)
def _conditions(route: Route) -> frozenset[Condition]:
    headers = (_condition(row, True) for row in route.headers)
    return frozenset(chain(headers, (_condition(row, False) for row in route.query)))


def _condition(row: ValueMatch, header: bool) -> Condition:
    name = row.name.lower() if header else row.name
    return Condition(header, name, row.kind, "" if row.kind == "present" else row.value)


def _implied(conditions: frozenset[Condition], by: frozenset[Condition]) -> bool:
    """Whether every condition is among the others, or asks only for presence of what they ask a value of."""
    missing = conditions - by
    if any(condition.kind != "present" for condition in missing):
        return False
    asked = {condition[:2] for condition in by}
    return all(condition[:2] in asked for condition in missing)


def _ties(route: CompiledRoute, groups: dict[Key, list[CompiledRoute]]) -> Iterator[Overlap]:
    """Those before the Route that nothing but age or name puts there, and that share requests with it."""
    seen: set[str] = set()
    for host in route.hosts or (b"",):
        for rival in _rivals(route, host, groups):
            name = rival.config.name
            if name not in seen and rival.key[:3] == route.key[:3] and _meet(rival, route):
                seen.add(name)
                yield Overlap(name, route.config.name, _tie_reason(rival, route), False)


def _meet(first: CompiledRoute, second: CompiledRoute) -> bool:
    """Whether one request can satisfy both: a common method, and no value that must be two things at once."""
    if first.methods is not None and second.methods is not None and not first.methods & second.methods:
        return False
    if first.test is None or second.test is None:
        return True
    exact = {row[:2]: row.value for row in _conditions(first.config) if row.kind == "exact"}
    theirs = (row for row in _conditions(second.config) if row.kind == "exact")
    return all(exact.get(row[:2], row.value) == row.value for row in theirs)


def _tie_reason(first: CompiledRoute, second: CompiledRoute) -> str:
    decided = "is older" if first.config.order != second.config.order else "comes first by name"
    return f"both match some requests equally well at the same host and path; {first.config.name} {decided}"
