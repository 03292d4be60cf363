"""One object of each kind, and callers of each role."""

import json

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from consoles.access import add_member
from consoles.models import ApiToken, Role
from consoles.models.api_token import Scope
from proxy.config.publish import publish
from proxy.identity.issue import issue_key
from proxy.models import Api, App, Certificate, Developer, Plan, Policy, Route, Subscription, Target, Upstream
from tests.proxy.config.pem import make_pair

ROOT = "/api/v1"


class Caller:
    """Calls the API with a token, as a program does."""

    def __init__(self, token=""):
        self.client = Client(raise_request_exception=True)
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method, path, body=None, *, match=None, raw=None, **headers):
        headers = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if match is not None:
            headers["if-match"] = match
        data = raw if raw is not None else b"" if body is None else json.dumps(body)
        path = path if path.startswith("/") else f"{ROOT}/{path}"
        return self.client.generic(method, path, data, content_type="application/json", headers=headers)


def make_token(user, role=Role.OWNER, scopes=tuple(Scope.values), **more):
    """The value of a new token."""
    return ApiToken(user=user, name="test", scopes=list(scopes), role=role, **more).issue().value


@pytest.fixture(autouse=True)
def fresh_limits():
    """Rate limits begin anew."""
    cache.clear()


@pytest.fixture
def members(db, settings):
    """An account for each role; nobody signs in with a password here, so hashing it may be quick."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return {role: add_member(role.label.lower(), role).membership.user for role in Role}


@pytest.fixture
def callers(members):
    """A caller with a full token for each role."""
    return {role: Caller(make_token(user)) for role, user in members.items()}


@pytest.fixture
def editor(callers):
    """The one who edits."""
    return callers[Role.EDITOR]


@pytest.fixture
def publisher(callers):
    """The one who publishes."""
    return callers[Role.PUBLISHER]


CHAIN, PRIVATE_KEY = make_pair("shop.example.com")


class World:
    """One object of each kind, published."""

    def __init__(self):
        self.upstream = Upstream.objects.create(name="products")
        self.target = Target.objects.create(upstream=self.upstream, host="127.0.0.1", port=9001)
        self.api = Api.objects.create(slug="shop", title="Shop", openapi="openapi: 3.1.0")
        self.route = Route.objects.create(api=self.api, name="list", upstream=self.upstream, path="/products")
        self.plan = Plan.objects.create(name="gold", approval="manual")
        self.plan.apis.add(self.api)
        self.policy = Policy.objects.create(name="key-auth", scope="api", api=self.api)
        self.developer = Developer.objects.create(email="ada@example.com")
        self.app = App.objects.create(name="mobile", developer=self.developer)
        self.key, self.raw_key = issue_key(self.app, name="first")
        self.subscription = Subscription.objects.create(app=self.app, api=self.api, plan=self.plan)
        self.chain, self.private_key = CHAIN, PRIVATE_KEY
        self.certificate = Certificate.objects.create(name="shop", chain=self.chain, key=self.private_key)
        self.revision = publish("first", "ada").revision
        self.now = timezone.now()


@pytest.fixture
def world(db):
    """One object of each kind."""
    return World()


def real_ids(world):
    """The id of an object that is there, by the path of its list."""
    return {
        "apis": world.api.pk,
        "routes": world.route.pk,
        "upstreams": world.upstream.pk,
        "policies": world.policy.pk,
        "plans": world.plan.pk,
        "apps": world.app.pk,
        "keys": world.key.pk,
        "subscriptions": world.subscription.pk,
        "developers": world.developer.pk,
        "certificates": world.certificate.pk,
    }
