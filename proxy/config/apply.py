"""Makes the draft equal to a document: creates, updates and deletes rows, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from django.db import transaction

from proxy.config import document
from proxy.config.policies import placed_policies
from proxy.config.problem import Problem
from proxy.models import (
    Api,
    App,
    Certificate,
    Gateway,
    Plan,
    Policy,
    Route,
    Subscription,
    Target,
    Upstream,
)
from proxy.models.base import Editable
from proxy.models.policy import SUBJECTS

Row = TypeVar("Row", bound=Editable)
BATCH = 500


class Refused(Exception):
    """A configuration was refused as a whole; `problems` are all the reasons."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def write_draft(whole: document.Document) -> None:
    """Make the rows equal to a document that `problems_of` found nothing wrong with.

    In one transaction. Raises `Refused` if an Api or a Plan would go that Subscriptions still use.
    """
    with transaction.atomic():
        _write_gateway(Gateway.lock(), whole.gateway)
        upstreams = _write_upstreams(whole)
        _upsert(Certificate, "name", {row.name: row for row in whole.certificates})
        plans = _upsert(Plan, "name", {row.name: row for row in whole.plans})
        apis = _upsert(Api, "slug", {row.slug: row for row in whole.apis}, _positions(whole.apis))
        _write_sold(whole, plans, apis)
        routes = _write_routes(whole, apis, upstreams)
        _write_policies(whole, {"api": apis, "route": routes, "plan": plans})
        _remove(whole)


def _write_gateway(row: Gateway, item: document.Gateway) -> None:
    if row.as_document() != item:
        row.fill(item)
        row.save()


def _positions(items: Iterable[msgspec.Struct]) -> Callable[[Any, Any], None]:
    """Sets the row's position to that of its item in the document."""
    order = {id(item): index for index, item in enumerate(items)}

    def place(row: Any, item: Any) -> None:
        row.position = order[id(item)]

    return place


def _upsert(
    model: type[Row],
    key: str,
    wanted: Mapping[str, msgspec.Struct],
    relate: Callable[[Row, Any], None] | None = None,
) -> dict[str, Row]:
    """Create and update rows of one kind; returns the wanted ones by name. Unchanged rows are not touched."""
    rows = {getattr(row, key): row for row in model._default_manager.all()}
    found: dict[str, Row] = {}
    created: list[Row] = []
    changed: list[Row] = []
    for name, item in wanted.items():
        row = found[name] = rows.get(name) or model()
        before = _state(row)
        row.fill(item)
        if relate is not None:
            relate(row, item)
        if row._state.adding:
            created.append(row)
        elif _state(row) != before:
            changed.append(row)
    _store(model, created, changed)
    return found


def _state(row: Editable) -> list[Any]:
    """The columns that an apply may change."""
    kept = ("id", "edition", "created_at", "updated_at")
    return [getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in kept]


def _store(model: type[Row], created: list[Row], changed: list[Row]) -> None:
    """Many rows of the large kinds at once; the others one by one, for their signals and derived columns.

    Changed rows are upserted by id: `bulk_update` takes a minute for ten thousand Routes.
    """
    if model not in (Route, Policy, Target):
        for row in (*created, *changed):
            row.save()
        return
    model._default_manager.bulk_create(created, batch_size=BATCH)
    if changed:
        for row in changed:
            row.edition += 1
        names = [
            field.name for field in model._meta.concrete_fields if field.name not in ("id", "created_at")
        ]
        model._default_manager.bulk_create(
            changed, batch_size=BATCH, update_conflicts=True, unique_fields=["id"], update_fields=names
        )


def _write_upstreams(whole: document.Document) -> dict[str, Upstream]:
    rows = _upsert(Upstream, "name", {row.name: row for row in whole.upstreams})
    wanted = {
        (rows[upstream.name].pk, target.host, target.port): (rows[upstream.name], target)
        for upstream in whole.upstreams
        for target in upstream.targets
    }
    existing = {(row.upstream_id, row.host, row.port): row for row in Target.objects.all()}
    created: list[Target] = []
    changed: list[Target] = []
    for address, (upstream, item) in wanted.items():
        row = existing.pop(address, None) or Target(upstream=upstream)
        before = _state(row)
        row.fill(item)
        if row.pk is None:
            created.append(row)
        elif _state(row) != before:
            changed.append(row)
    _delete(Target, [row.pk for row in existing.values()])
    _store(Target, created, changed)
    return rows


def _write_routes(
    whole: document.Document, apis: dict[str, Api], upstreams: dict[str, Upstream]
) -> dict[str, Route]:
    place = {
        route.name: (apis[api.slug], index) for api in whole.apis for index, route in enumerate(api.routes)
    }

    def relate(row: Route, item: document.Route) -> None:
        row.api, row.position = place[item.name]
        row.upstream = upstreams[item.upstream] if item.upstream else None

    gone = [pk for pk, name in Route.objects.values_list("pk", "name") if name not in place]
    _delete(Route, gone)
    wanted = {route.name: route for api in whole.apis for route in api.routes}
    return _upsert(Route, "name", wanted, relate)


def _write_sold(whole: document.Document, plans: dict[str, Plan], apis: dict[str, Api]) -> None:
    """Which Plans are sold on which Apis; a Plan that this changes has another edition."""
    through = Plan.apis.through
    existing = {(plan, api): pk for pk, plan, api in through.objects.values_list("pk", "plan_id", "api_id")}
    wanted = {
        (plans[plan.name].pk, apis[slug].pk)
        for plan in whole.plans
        for slug in (apis if plan.apis is None else plan.apis)
    }
    gone = [pk for pair, pk in existing.items() if pair not in wanted]
    for start in range(0, len(gone), BATCH):
        through.objects.filter(pk__in=gone[start : start + BATCH]).delete()
    rows = [through(plan_id=plan, api_id=api) for plan, api in wanted - existing.keys()]
    through.objects.bulk_create(rows, batch_size=BATCH)
    changed = {plan for plan, _ in wanted ^ existing.keys()}
    for row in Plan.objects.filter(pk__in=changed):
        row.save()


def _write_policies(whole: document.Document, subjects: dict[str, Any]) -> None:
    """Policies are told apart by where they are attached and their label."""
    apps = {app.name: app for app in App.objects.filter(name__in={row.app for row in whole.policies})}
    existing = {_place(row): row for row in Policy.objects.all()}
    created: list[Policy] = []
    changed: list[Policy] = []
    for placed in placed_policies(whole):
        field = SUBJECTS[placed.scope]
        row = Policy(scope=placed.scope)
        if field:
            setattr(row, field, (apps if field == "app" else subjects[field])[placed.subject])
        row.fill(placed.policy)
        row = existing.pop(_place(row), row)
        before = _state(row)
        row.fill(placed.policy)
        if row.pk is None:
            created.append(row)
        elif _state(row) != before:
            changed.append(row)
    _delete(Policy, [row.pk for row in existing.values()])
    _store(Policy, created, changed)


def _place(row: Policy) -> tuple[str, int | None, str, str]:
    field = SUBJECTS[row.scope]
    return row.scope, getattr(row, f"{field}_id") if field else None, row.label, row.label or row.name


def _remove(whole: document.Document) -> None:
    """Delete what the document does not have, last, when nothing refers to it any more."""
    slugs, plans = {row.slug for row in whole.apis}, {row.name for row in whole.plans}
    problems = [*_in_use("api", "slug", slugs), *_in_use("plan", "name", plans)]
    if problems:
        raise Refused(problems)
    for model, key, kept in (
        (Api, "slug", slugs),
        (Plan, "name", plans),
        (Upstream, "name", {row.name for row in whole.upstreams}),
        (Certificate, "name", {row.name for row in whole.certificates}),
    ):
        rows = model._default_manager.values_list("pk", key)
        _delete(model, [pk for pk, name in rows if name not in kept])


def _in_use(kind: str, key: str, kept: set[str]) -> Iterator[Problem]:
    """Subscriptions are people's: what they are to does not go by the way."""
    used = Subscription.objects.values_list(f"{kind}__{key}", flat=True).distinct().order_by(f"{kind}__{key}")
    for name in used:
        if name not in kept:
            yield Problem(f"{kind} {name}", "", "cannot be removed: there are subscriptions to it")


def _delete(model: type[Row], keys: list[int]) -> None:
    for start in range(0, len(keys), BATCH):
        model._default_manager.filter(pk__in=keys[start : start + BATCH]).delete()


def kept_secrets(whole: document.Document) -> document.Document:
    """The document with stored private keys in place of `(unchanged)`; what is not stored stays so."""
    hidden = [row.name for row in whole.certificates if row.key.strip() == document.UNCHANGED]
    if not hidden:
        return whole
    keys = {row.name: str(row.key) for row in Certificate.objects.filter(name__in=hidden)}
    shown = (
        msgspec.structs.replace(row, key=keys.get(row.name, row.key)) if row.name in hidden else row
        for row in whole.certificates
    )
    return msgspec.structs.replace(whole, certificates=tuple(shown))


def hidden_secrets(whole: document.Document) -> document.Document:
    """The document with `(unchanged)` in place of private keys."""
    shown = (msgspec.structs.replace(row, key=document.UNCHANGED) for row in whole.certificates)
    return msgspec.structs.replace(whole, certificates=tuple(shown))
