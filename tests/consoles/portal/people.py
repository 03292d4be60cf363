"""The cast of the portal's tests: two Developers with an App each, on one published public Api."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client

from proxy.config.publish import publish
from proxy.identity.issue import issue_key
from proxy.models import Api, App, Developer, Plan, Policy, Route, Subscription, Target, Upstream
from tests.consoles.people import SITE

OPENAPI = """
openapi: 3.0.3
info: {title: Shop, version: "1.2"}
paths:
  /orders/{id}:
    get:
      summary: One order
      tags: [items]
      parameters: [{name: id, in: path, required: true, schema: {type: integer, format: int64}}]
      responses:
        "200":
          description: The order
          content: {application/json: {schema: {$ref: "#/components/schemas/Order"}}}
components:
  schemas:
    Order:
      type: object
      required: [id]
      properties:
        id: {type: integer}
        lines: {type: array, items: {$ref: "#/components/schemas/Line"}}
    Line:
      type: object
      properties:
        sku: {type: string, description: "<b>What</b>"}
        order: {$ref: "#/components/schemas/Order"}
"""


@dataclass
class Theirs:
    """What one Developer has."""

    developer: Developer
    app: App
    key: Any
    subscription: Subscription

    def pk(self, name: str) -> int:
        """The id that a URL of that name takes."""
        row = {"app": self.app, "key": self.key, "subscription": self.subscription}[name]
        return int(row.pk)


def market(**api: Any) -> Api:
    """A published configuration: a public Api with two Plans, and a private one with another."""
    upstream = Upstream.objects.create(name="orders")
    Target.objects.create(upstream=upstream, host="10.0.0.1", port=8080)
    fields = {
        "slug": "shop",
        "title": "Shop",
        "base_path": "/shop",
        "visibility": "public",
        "openapi": OPENAPI,
    }
    shop = Api.objects.create(**{**fields, **api})
    Route.objects.create(api=shop, name="shop-orders", path="/orders", upstream=upstream)
    Policy.objects.create(name="key-auth", scope="api", api=shop, config={"names": ["x-shop-key"]})
    inside = Api.objects.create(slug="inside", title="Inside", base_path="/inside")
    free = Plan.objects.create(name="free", title="Free")
    Policy.objects.create(name="rate-limit", scope="plan", plan=free, config={"limits": [{"amount": 60}]})
    gold = Plan.objects.create(name="gold", title="Gold", approval="manual")
    elsewhere = Plan.objects.create(name="elsewhere", title="Elsewhere")
    for plan in (free, gold):
        plan.apis.add(shop)
    elsewhere.apis.add(inside)
    publish("market", "olga")
    return shop


def developer(name: str) -> Developer:
    """Somebody with an account."""
    email = f"{name}@example.test"
    user = get_user_model().objects.create_user(email, email)
    return Developer.objects.create(email=email, user=user)


def with_app(name: str) -> Theirs:
    """Somebody with an App on the market's Api, and a key."""
    who = developer(name)
    app = App.objects.create(name=f"{name}-app", title=f"App of {name}", developer=who)
    row = Subscription.objects.create(
        app=app, api=Api.objects.get(slug="shop"), plan=Plan.objects.get(name="free"), status="accepted"
    )
    return Theirs(who, app, issue_key(app, name="production")[0], row)


def browser(who: Developer | None) -> Client:
    """A browser in which they are signed in."""
    client = Client()
    client.handler = SITE
    if who is not None:
        client.force_login(who.user)
    return client
