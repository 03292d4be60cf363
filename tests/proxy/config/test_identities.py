"""Developers, Apps and Subscriptions in a configuration file."""

import pytest

from proxy.config import declarative
from proxy.models import App, Developer, Subscription

pytestmark = [pytest.mark.django_db, pytest.mark.database]
HEAD = "format: 1\nplans: [{name: gold}, {name: free}]\napis: [{slug: shop}]\n"


def problems(text):
    return [(item.object, item.field) for item in declarative.read(HEAD + text).problems]


@pytest.mark.parametrize(
    ("text", "owner", "field"),
    [
        ("developers: [{email: nonsense}]", "developer nonsense", "email"),
        ("developers: [{email: a@b.co}, {email: a@b.co}]", "developer a@b.co", "email"),
        ("apps: [{name: A}]", "app A", "name"),
        ("apps: [{name: a}, {name: a}]", "app a", "name"),
        ("apps: [{name: a, developer: x@y.zz}]", "app a", "developer"),
        ("apps: [{name: a, groups: ['']}]", "app a", "groups"),
        ("apps: [{name: a}]\nsubscriptions: [{app: a, api: x, plan: gold}]", "subscription a to x", "api"),
        ("apps: [{name: a, active: perhaps}]", "document", "apps[0].active"),
    ],
)
def test_a_bad_one_is_named(text, owner, field):
    assert (owner, field) in problems(text)


def test_a_subscription_follows_the_file():
    text = HEAD + "apps: [{name: a}]\nsubscriptions: [{app: a, api: shop, plan: %s, status: %s}]\n"
    for plan, status in (("gold", "pending"), ("gold", "accepted"), ("free", "accepted"), ("free", "closed")):
        declarative.apply(text % (plan, status))
        row = Subscription.objects.get()
        assert (row.plan.name, row.status) == (plan, status)
    assert row.decided_at is not None
    declarative.apply(text % ("gold", "accepted"))
    assert Subscription.objects.get().status == "accepted"


def test_a_subscription_is_to_a_plan_that_is_sold_on_its_api():
    head = "format: 1\nplans: [{name: gold, apis: %s}]\napis: [{slug: shop}, {slug: stock}]\n"
    rest = "apps: [{name: a}]\nsubscriptions: [{app: a, api: shop, plan: gold}]\n"
    refused = declarative.read(head % "[stock]" + rest).problems
    assert [(item.object, item.field, item.line) for item in refused] == [
        ("subscription a to shop", "plan", 5)
    ]
    assert "not sold on api 'shop'" in refused[0].reason
    assert declarative.read(head % "[]" + rest).problems
    declarative.apply(head % "[shop]" + rest)
    # What is subscribed stays when the Api is taken off the Plan, and the file may say so.
    declarative.apply(head % "[]" + rest)
    assert Subscription.objects.get().status == "accepted"
    assert declarative.read(head % "[]" + rest.replace("a}", "b}").replace("app: a", "app: b")).problems


def test_an_export_says_what_plans_are_sold_on():
    declarative.apply(HEAD)
    text = declarative.export()
    assert text.count("apis:") == 3 and text.count("- shop") == 2
    assert declarative.apply(text) == []


def test_people_and_apps_follow_the_file():
    declarative.apply(HEAD + "developers: [{email: a@b.co, name: Ada}]\napps: [{name: a, developer: a@b.co}]")
    declarative.apply(HEAD + "developers: [{email: a@b.co, active: false}]\napps: [{name: a, active: false}]")
    assert (Developer.objects.get().name, Developer.objects.get().active) == ("", False)
    assert (App.objects.get().developer, App.objects.get().active) == (None, False)


def test_the_difference_names_them():
    text = HEAD + "apps: [{name: a}]\nsubscriptions: [{app: a, api: shop, plan: gold}]"
    assert declarative.apply(text)[-2:] == ["+ app a", "+ subscription a to shop"]
    assert declarative.apply(text) == []
    assert declarative.apply(text.replace("plan: gold", "plan: free")) == ["~ subscription a to shop"]
