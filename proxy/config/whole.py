"""What only shows in the configuration as a whole: names, references, labels, and what compiling refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from proxy.config import document
from proxy.config.compile import compile_document
from proxy.config.policies import Placed, placed_policies
from proxy.config.problem import Problem
from proxy.config.routes import NO_API
from proxy.config.selling import unguarded
from proxy.config.snapshot import Snapshot
from proxy.config.validate import (
    check_api,
    check_certificate,
    check_gateway,
    check_plan,
    check_policy,
    check_route,
    check_upstream,
)
from proxy.counters.memory import MemoryCounters
from proxy.pipeline.policy import Invalid
from proxy.pipeline.registry import build
from proxy.pipeline.services import Services
from proxy.routing.overlap import find_overlaps


def problems_of(whole: document.Document, apps: Collection[str]) -> list[Problem]:
    """All that is wrong with a configuration; `apps` are the names of the Apps that there are."""
    found = list(_objects(whole))
    found += _names(whole)
    found += _references(whole, apps)
    placed = list(placed_policies(whole))
    found += _labels(placed)
    found += _policies(placed)
    return list(dict.fromkeys(found))


def warnings_of(whole: document.Document, snapshot: Snapshot) -> list[Problem]:
    """What is allowed but hardly meant: Routes that take requests from each other or never get any, and Apis
    that are sold to subscribers but open to all."""
    overlaps = [
        Problem(
            f"route {overlap.loser}",
            "path",
            f"{'is never reached because of' if overlap.unreachable else 'overlaps'} "
            f"route {overlap.winner}: {overlap.reason}",
        )
        for overlap in find_overlaps(snapshot.routes)
    ]
    return [*overlaps, *unguarded(whole)]


def _objects(whole: document.Document) -> Iterator[Problem]:
    yield from check_gateway(whole.gateway)
    for upstream in whole.upstreams:
        yield from check_upstream(upstream)
    for plan in whole.plans:
        yield from check_plan(plan)
    for api in whole.apis:
        found = list(check_api(api))
        yield from found
        for route in api.routes:
            yield from check_route(route, NO_API if found else api)
    for certificate in whole.certificates:
        yield from check_certificate(certificate)


def _names(whole: document.Document) -> Iterator[Problem]:
    """Two objects of one kind with one name."""
    kinds: dict[str, Iterable[str]] = {
        "upstream": (upstream.name for upstream in whole.upstreams),
        "plan": (plan.name for plan in whole.plans),
        "api": (api.slug for api in whole.apis),
        "route": (route.name for api in whole.apis for route in api.routes),
        "certificate": (certificate.name for certificate in whole.certificates),
    }
    for kind, names in kinds.items():
        for name, count in Counter(names).items():
            if count > 1:
                field = "slug" if kind == "api" else "name"
                yield Problem(f"{kind} {name}", field, f"there are {count} of this name")


def _references(whole: document.Document, apps: Collection[str]) -> Iterator[Problem]:
    upstreams = {upstream.name for upstream in whole.upstreams}
    slugs = {api.slug for api in whole.apis}
    for plan in whole.plans:
        for index, slug in enumerate(plan.apis or ()):
            if slug not in slugs:
                yield Problem(f"plan {plan.name}", f"apis[{index}]", f"there is no api {slug!r}")
    for api in whole.apis:
        for route in api.routes:
            if route.upstream and route.upstream not in upstreams:
                yield Problem(f"route {route.name}", "upstream", f"there is no upstream {route.upstream!r}")
    for policy in whole.policies:
        if policy.app and policy.app not in apps:
            yield Problem(
                f"policy {document.label_of(policy, 'consumer', policy.app)}",
                "app",
                f"there is no app {policy.app!r}",
            )


def _labels(placed: list[Placed]) -> Iterator[Problem]:
    for label, count in Counter(item.label for item in placed).items():
        if count > 1:
            yield Problem(f"policy {label}", "label", f"there are {count} of this label; give each its own")


def _policies(placed: list[Placed]) -> Iterator[Problem]:
    services = Services(counters=MemoryCounters(), identities=None)
    for item in placed:
        owner = f"policy {item.label}"
        if item.policy.app and item.scope != "consumer":
            yield Problem(owner, "app", "only the policies at the top of the document can be those of an app")
        found = list(check_policy(item.policy, owner))
        yield from found
        if not found:
            yield from _set_up(item, services, owner)


def _set_up(item: Placed, services: Services, owner: str) -> Iterator[Problem]:
    """Some mistakes only show when a policy does its expensive work."""
    try:
        build(item.compiled(), services).close()
    except Invalid as error:
        yield Problem(owner, ".".join(filter(None, ("config", error.field))), str(error))


def check(
    whole: document.Document, apps: Collection[str], revision: int = 0
) -> tuple[Snapshot | None, list[Problem]]:
    """The compiled Snapshot, or None and everything that keeps it from being compiled."""
    found = problems_of(whole, apps)
    return (None, found) if found else (compile_document(whole, revision), [])
