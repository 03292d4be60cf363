"""One of each kind of object, wired together, for tests that visit every page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db.models.signals import pre_save

from analytics.models import RawRecord
from consoles.models import AuditEntry, Membership, SavedView
from proxy.config.publish import publish
from proxy.identity.issue import issue_key
from proxy.models import Api, App, Developer, Gateway, Plan, Policy, Route, Subscription, Target, Upstream
from tests.analytics.traffic import record as traffic_record
from tests.consoles.people import member


@dataclass
class World:
    """The objects by the path of their page family."""

    rows: dict[str, Any]

    def __getitem__(self, path: str) -> Any:
        return self.rows[path]


def make_world() -> World:
    """A small published configuration with an App that may use it."""
    upstream = Upstream.objects.create(name="orders")
    target = Target.objects.create(upstream=upstream, host="10.0.0.1", port=8080)
    api = Api.objects.create(slug="shop", title="Shop", base_path="/shop")
    route = Route.objects.create(api=api, name="shop-orders", path="/orders", upstream=upstream)
    plan = Plan.objects.create(name="gold", title="Gold")
    plan.apis.add(api)
    policy = Policy.objects.create(name="key-auth", scope="api", api=api)
    Policy.objects.create(name="rate-limit", scope="plan", plan=plan, config={"limits": [{"amount": 5}]})
    developer = Developer.objects.create(email="dana@example.test", name="Dana")
    app = App.objects.create(name="checkout", developer=developer)
    subscription = Subscription.objects.create(app=app, api=api, plan=plan, status="pending")
    key, _ = issue_key(app, name="production")
    Gateway.load()
    revision = publish("first", "olga").revision
    user = member("vera")
    entry = AuditEntry.objects.create(
        actor=user, actor_name="vera", action="update", kind="api", object_id=str(api.pk)
    )
    record = RawRecord.objects.create(
        **msgspec.structs.asdict(traffic_record(api="shop", route="shop-orders"))
    )
    view = SavedView.objects.create(owner=user, page="routes", name="mine")
    return World(
        {
            "views": view,
            "traffic": record,
            "upstreams": upstream,
            "targets": target,
            "apis": api,
            "first-run": api,
            "routes": route,
            "plans": plan,
            "policies": policy,
            "developers": developer,
            "apps": app,
            "subscriptions": subscription,
            "keys": key,
            "revisions": revision,
            "settings": Gateway.load(),
            "members": Membership.objects.get(user=user),
            "audit": entry,
        }
    )


@contextmanager
def taken_meanwhile(model: Any, **fields: Any) -> Iterator[None]:
    """Between the check of a form and storing it, somebody else stores a row."""

    def store(sender: Any, **_: Any) -> None:
        model._default_manager.bulk_create([model(**fields)])

    pre_save.connect(store, sender=model)
    try:
        yield
    finally:
        pre_save.disconnect(store, sender=model)
