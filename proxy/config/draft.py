"""The draft: the configuration in the database, read as one document in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.config import document, snapshot
from proxy.models import Api, Certificate, Gateway, Plan, Policy, Route, Target, Upstream
from proxy.models.policy import SUBJECTS

Policies = dict[tuple[str, int | None], tuple[document.Policy, ...]]


def draft_document() -> document.Document:
    """All editable objects as a document. Raises msgspec.ValidationError for rows that were never valid."""
    policies = _policies()
    sold = _sold()
    rows = list(Upstream.objects.order_by("name"))
    routes = _routes(policies, {row.pk: row.name for row in rows})
    whole = document.Document(
        gateway=Gateway.load().as_document(),
        upstreams=tuple(_upstreams(rows)),
        plans=tuple(
            msgspec.structs.replace(
                plan.as_document(), apis=tuple(sold[plan.pk]), policies=policies.get(("plan", plan.pk), ())
            )
            for plan in Plan.objects.all()
        ),
        apis=tuple(
            msgspec.structs.replace(
                api.as_document(),
                policies=policies.get(("api", api.pk), ()),
                routes=tuple(routes.get(api.pk, ())),
            )
            for api in Api.objects.order_by("position", "id")
        ),
        policies=tuple(
            row for (scope, _), rows in policies.items() if scope in ("global", "consumer") for row in rows
        ),
        certificates=tuple(row.as_document() for row in Certificate.objects.all()),
    )
    return document.canonical(whole)


def _sold() -> dict[int, list[str]]:
    """Slugs of the Apis that Plans are sold on, by the Plan's key."""
    found: dict[int, list[str]] = defaultdict(list)
    for plan, slug in Plan.apis.through.objects.values_list("plan_id", "api__slug"):
        found[plan].append(slug)
    return found


def _upstreams(rows: list[Upstream]) -> Iterable[snapshot.Upstream]:
    targets: dict[int, list[Target]] = defaultdict(list)
    for target in Target.objects.order_by("id"):
        targets[target.upstream_id].append(target)
    for upstream in rows:
        yield upstream.as_document(targets[upstream.pk])


def _routes(policies: Policies, names: dict[int, str]) -> dict[int, list[document.Route]]:
    """Routes by the key of their Api; `names` are those of the Upstreams by key."""
    found: dict[int, list[document.Route]] = defaultdict(list)
    for route in Route.objects.defer("created_at", "updated_at").order_by("position", "id"):
        plain: dict[str, Any] = route.plain(names.get(route.upstream_id or 0, ""))
        plain["policies"] = policies.get(("route", route.pk), ())
        found[route.api_id].append(msgspec.convert(plain, document.Route))
    return found


def _policies() -> Policies:
    """Policies by scope and the key of its subject."""
    found: dict[tuple[str, int | None], list[document.Policy]] = defaultdict(list)
    for policy in Policy.objects.select_related("app").order_by("id"):
        field = SUBJECTS[policy.scope]
        subject = getattr(policy, f"{field}_id") if field else None
        found[policy.scope, subject].append(policy.as_document(policy.app.name if policy.app else ""))
    return {place: tuple(rows) for place, rows in found.items()}
