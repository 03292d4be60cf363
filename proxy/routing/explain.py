"""Why a request went to a Route, or to none: for the console's match tester and for answers to 404s.

Looks at every Route, so it is for people, not for the request path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from proxy.config.snapshot import ValueMatch
from proxy.routing.compiled import CompiledRoute
from proxy.routing.conditions import Header, compile_check, first_values, joined
from proxy.routing.table import RouteTable

MAX_NEAR = 5
_GOOD_ENOUGH = 2
"""Points from which on a Route counts as near: see `_misses`."""


class Verdict(NamedTuple):
    """What became of one Route: `selected`, or `reason` in words why not."""

    route: str
    selected: bool
    reason: str


def explain(
    table: RouteTable,
    host: bytes,
    path: bytes,
    method: bytes,
    headers: Sequence[Header] = (),
    query: bytes = b"",
) -> list[Verdict]:
    """Every Route whose host and path match, in order of precedence, with its verdict."""
    verdicts: list[Verdict] = []
    winner: CompiledRoute | None = None
    for route in table.candidates(host, path):
        why = unmet(route, method, headers, query)
        if why:
            verdicts.append(Verdict(route.config.name, False, "; ".join(why)))
        elif winner is None:
            winner = route
            verdicts.append(Verdict(route.config.name, True, "the first whose conditions all hold"))
        else:
            reason = f"matches as well, but {winner.config.name} goes first: {precedence(winner, route)}"
            verdicts.append(Verdict(route.config.name, False, reason))
    return verdicts


def near_misses(
    table: RouteTable,
    host: bytes,
    path: bytes,
    method: bytes,
    headers: Sequence[Header] = (),
    query: bytes = b"",
) -> list[str]:
    """For a request that no Route takes: up to five that nearly did, nearest first, and what kept them."""
    scored: list[tuple[int, int, str]] = []
    for route in table.routes:
        reasons, score = _misses(route, host, path)
        if score < _GOOD_ENOUGH:
            continue
        unmatched = unmet(route, method, headers, query)
        reasons += unmatched
        if reasons:
            scored.append((-score, len(reasons), f"{route.config.name}: {'; '.join(reasons)}"))
    scored.sort()
    return [text for _, _, text in scored[:MAX_NEAR]]


def _misses(route: CompiledRoute, host: bytes, path: bytes) -> tuple[list[str], int]:
    """What of host and path does not match, and the points for what does: 4 the path, 2 the host."""
    reasons: list[str] = []
    points = 0
    if _takes_host(route, host):
        points += 2
    else:
        reasons.append(f"host is {_text(host)}, the Route has {', '.join(route.config.hosts)}")
    if route.matches_path(path):
        return reasons, points + 4
    reason, similarity = _similar(route, path)
    return [*reasons, reason], points + similarity if similarity else 0


def _similar(route: CompiledRoute, path: bytes) -> tuple[str, int]:
    """How a path that does not match differs, and 1 or 2 points if that is little."""
    wanted = route.config.path.value
    shorter = path.rstrip(b"/")
    if shorter and shorter != path and route.matches_path(shorter):
        return f"the path has a slash at its end, {wanted} has none", 2
    if shorter == path and route.matches_path(path + b"/"):
        return f"the path lacks the slash at the end of {wanted}", 2
    literal, lower = route.literal.lower(), path.lower()
    if len(literal) > 1 and route.literal != path[: len(literal)] and lower.startswith(literal):
        return f"the path differs from {wanted} in letter case, which counts", 1
    if route.config.path.kind == "prefix" and path.startswith(route.literal):
        return f"{wanted} is matched by whole segments only", 1
    base = route.template.base if route.template is not None else route.literal
    if len(base) > 1 and (path.startswith(base + b"/") or path == base):
        return f"the path goes on in another way than {wanted}", 1
    return "", 0


def _takes_host(route: CompiledRoute, host: bytes) -> bool:
    return not route.hosts or any(
        host.endswith(name[1:]) and len(host) >= len(name) if name[:2] == b"*." else host == name
        for name in route.hosts
    )


def unmet(route: CompiledRoute, method: bytes, headers: Sequence[Header], query: bytes) -> list[str]:
    """The method, header and query conditions of a Route that a request does not meet, in words."""
    reasons: list[str] = []
    if route.methods is not None and method not in route.methods:
        reasons.append(f"method is {_text(method)}, the Route has {', '.join(route.config.methods)}")
    for row in route.config.headers:
        reasons += _condition("header", row, joined(headers, row.name.lower().encode()))
    values = first_values(query) if route.config.query else {}
    for row in route.config.query:
        reasons += _condition("query parameter", row, values.get(row.name.encode()))
    return reasons


def _condition(what: str, row: ValueMatch, value: bytes | None) -> list[str]:
    """The value sent is not repeated: it may be a secret."""
    if compile_check(what, row)(value):
        return []
    if value is None:
        return [f"{what} {row.name} is missing"]
    return [f"{what} {row.name} does not match"]


def precedence(first: CompiledRoute, second: CompiledRoute) -> str:
    """What puts the first before the second, both taking the same request."""
    if second.config.retired and not first.config.retired:
        return "the Api of the other is retired"
    if first.hosts != second.hosts and (not second.hosts or not set(first.hosts) & set(second.hosts)):
        return "its host is more specific"
    if first.config.path != second.config.path:
        return "its path is more specific"
    decisions = (
        "it lists the method",
        "it has more header conditions",
        "it has more query conditions",
        "it is older",
    )
    for own, other, decision in zip(first.key, second.key, decisions, strict=False):
        if own != other:
            return decision
    return "its name comes first"


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")
