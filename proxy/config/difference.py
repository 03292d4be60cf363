"""What differs between two configurations, object by object, for people to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from proxy.config import document
from proxy.config.decode import plain
from proxy.config.policies import placed_policies

_SHOWN = 80


class Change(NamedTuple):
    """One object that is new, gone or changed; `details` has a line for each field that changed."""

    kind: Literal["added", "removed", "changed"]
    object: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        sign = {"added": "+", "removed": "-", "changed": "~"}[self.kind]
        return "\n".join((f"{sign} {self.object}", *(f"    {line}" for line in self.details)))


class Named(NamedTuple):
    """An object of a document, and what only its place in the document says."""

    value: msgspec.Struct
    place: tuple[tuple[str, str], ...] = ()

    def plain(self) -> dict[str, Any]:
        """As plain data without what is default."""
        return {**plain(self.value), **dict(self.place)}


def differences(old: document.Document, new: document.Document) -> list[Change]:
    """Changes that lead from one document to the other; empty if they mean the same."""
    return compare(old, new, objects(old), objects(new))


def compare(
    old: document.Document, new: document.Document, before: dict[str, Named], after: dict[str, Named]
) -> list[Change]:
    """`differences`, for who has the `objects` of both already."""
    changes = [Change("added", name) for name in after if name not in before]
    changes += [Change("removed", name) for name in before if name not in after]
    for name, row in after.items():
        if name in before and before[name] != row:  # most are equal, which is seen without making them plain
            left, right = before[name].plain(), row.plain()
            details = tuple(_fields(left, right, "", secret=name.startswith("certificate ")))
            if left != right:
                changes.append(Change("changed", name, details))
    return changes + list(_orders(old, new))


def objects(whole: document.Document) -> dict[str, Named]:
    """All objects by kind and name, without what is nested in them and has its own name."""
    found = {"gateway": Named(whole.gateway)}
    for upstream in whole.upstreams:
        found[f"upstream {upstream.name}"] = Named(upstream)
    for plan in whole.plans:
        found[f"plan {plan.name}"] = Named(msgspec.structs.replace(plan, policies=()))
    for api in whole.apis:
        found[f"api {api.slug}"] = Named(msgspec.structs.replace(api, policies=(), routes=()))
        for route in api.routes:
            bare = msgspec.structs.replace(route, policies=()) if route.policies else route
            found[f"route {route.name}"] = Named(bare, (("api", api.slug),))
    for placed in placed_policies(whole):
        place = (("scope", placed.scope), ("subject", placed.subject))
        found[f"policy {placed.label}"] = Named(placed.policy, place)
    for certificate in whole.certificates:
        found[f"certificate {certificate.name}"] = Named(certificate)
    return found


def _fields(old: Any, new: Any, path: str, *, secret: bool) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if old.get(key, _ABSENT) != new.get(key, _ABSENT):
                place = f"{path}.{key}" if path else str(key)
                yield from _fields(old.get(key, _ABSENT), new.get(key, _ABSENT), place, secret=secret)
    elif secret and path == "key":
        yield "key: replaced"
    elif path == "apis" and isinstance(old, list) and isinstance(new, list):
        yield from _taken_and_added(path, old, new)
    else:
        yield f"{path}: {_show(old)} -> {_show(new)}"


def _taken_and_added(path: str, old: list[str], new: list[str]) -> Iterator[str]:
    """There may be thousands: only what differs."""
    if added := sorted(set(new) - set(old)):
        yield f"{path}: added {_show(added)}"
    if taken := sorted(set(old) - set(new)):
        yield f"{path}: removed {_show(taken)}"


def _orders(old: document.Document, new: document.Document) -> Iterator[Change]:
    """Order decides between rules that match equally well."""
    if _reordered([api.slug for api in old.apis], [api.slug for api in new.apis]):
        yield Change("changed", "gateway", ("order of apis: " + ", ".join(api.slug for api in new.apis),))
    routes = {api.slug: [route.name for route in api.routes] for api in old.apis}
    for api in new.apis:
        names = [route.name for route in api.routes]
        if _reordered(routes.get(api.slug, []), names):
            yield Change("changed", f"api {api.slug}", (f"order of routes: {_show(names)}",))


def _reordered(old: list[str], new: list[str]) -> bool:
    kept, known = set(old) & set(new), [name for name in old if name in set(new)]
    return known != [name for name in new if name in kept]


def _show(value: Any) -> str:
    if value is _ABSENT:
        return "(default)"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_ABSENT: Any = object()
