"""Every URL of the portal × whose object it is × every method. A new URL without a row fails."""

import itertools

import pytest
from django.urls import get_resolver, reverse

from consoles.portal.pages import PortalPage
from proxy.models import App, Credential, Subscription
from tests.consoles.portal.people import browser, developer, market, with_app

pytestmark = pytest.mark.django_db
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OPEN = {
    "catalogue": ("GET",),
    "api": ("GET",),
    "openapi": ("GET",),
    "sign-in": ("GET", "POST"),
    "code": ("GET", "POST"),
    "sign-out": ("POST",),
    "theme": ("POST",),
}
"""For everybody."""
SIGNED_IN = {
    "account": ("GET", "POST"),
    "access": ("GET", "POST"),
    "apps": ("GET",),
    "app-new": ("GET", "POST"),
}
"""For every Developer."""
OWN = {
    "app": ("app", ("GET",)),
    "app-edit": ("app", ("GET", "POST")),
    "app-delete": ("app", ("GET", "POST")),
    "usage": ("app", ("GET",)),
    "key-new": ("app", ("GET", "POST")),
    "key-roll": ("key", ("GET", "POST")),
    "key-revoke": ("key", ("GET", "POST")),
    "key-first-call": ("key", ("GET",)),
    "subscription-close": ("subscription", ("GET", "POST")),
}
"""Of one object, which must be the reader's own."""


def patterns():
    (portal,) = [one for one in get_resolver().url_patterns if getattr(one, "namespace", "") == "portal"]
    return {pattern.name: pattern for pattern in portal.url_patterns}


def test_every_url_has_a_row():
    assert set(patterns()) == set(OPEN) | set(SIGNED_IN) | set(OWN)


@pytest.mark.parametrize("name", sorted({**OPEN, **SIGNED_IN, **OWN}))
def test_every_page_is_guarded_at_one_place(name):
    view = patterns()[name].callback.view_class
    assert issubclass(view, PortalPage) and view.dispatch is PortalPage.dispatch
    assert view.public == (name in OPEN)


@pytest.mark.parametrize("name", sorted({**OPEN, **SIGNED_IN}))
def test_pages_of_nobodys_objects(name):
    market()
    people = {"somebody": developer("dana"), "nobody": None}
    slug = ["shop"] if "slug" in patterns()[name].pattern.converters else []
    url, methods = reverse(f"portal:{name}", args=slug), {**OPEN, **SIGNED_IN}[name]
    found = {
        (who, method): verdict(browser(row).generic(method, url))
        for (who, row), method in itertools.product(people.items(), METHODS)
    }
    expected = {
        (who, method): "to sign in"
        if who == "nobody" and name in SIGNED_IN
        else "yes"
        if method in methods
        else "no method"
        for who, method in found
    }
    if name == "code":
        expected |= {(who, method): "to sign in" for who in people for method in methods}
    assert found == expected


@pytest.mark.parametrize("name", sorted(OWN))
def test_objects_of_others_are_not_there(name):
    market()
    dana, mallory = with_app("dana"), with_app("mallory")
    kind, methods = OWN[name]
    before = snapshot(mallory)
    for method in METHODS:
        client = browser(dana.developer)
        foreign = client.generic(method, reverse(f"portal:{name}", args=[mallory.pk(kind)]))
        missing = client.generic(method, reverse(f"portal:{name}", args=[987_654_321]))
        expected = "nothing" if method in methods else "no method"
        assert (verdict(foreign), verdict(missing)) == (expected, expected)
        assert "mallory" not in foreign.content.decode()
        anonymous = browser(None).generic(method, reverse(f"portal:{name}", args=[dana.pk(kind)]))
        assert verdict(anonymous) == "to sign in"
    assert snapshot(mallory) == before
    own = {
        method: verdict(
            browser(dana.developer).generic(method, reverse(f"portal:{name}", args=[dana.pk(kind)]))
        )
        for method in METHODS
    }
    assert own == {method: "yes" if method in methods else "no method" for method in METHODS}


def snapshot(theirs):
    return [
        list(model.objects.filter(pk=row.pk).values())
        for model, row in ((App, theirs.app), (Credential, theirs.key), (Subscription, theirs.subscription))
    ]


def verdict(answer):
    if answer.status_code == 302 and "/sign-in/" in answer["Location"]:
        return "to sign in"
    return {404: "nothing", 405: "no method"}.get(answer.status_code, "yes")


@pytest.mark.parametrize("which", ["mallory", "987654321", "-1", "1e3", "9" * 40, "٣"])
def test_no_access_is_given_to_the_app_of_another(which):
    market()
    dana, mallory = with_app("dana"), with_app("mallory")
    Subscription.objects.all().delete()
    app = str(mallory.app.pk) if which == "mallory" else which
    answer = browser(dana.developer).post(
        reverse("portal:access", args=["shop"]), {"plan": "free", "app": app}
    )
    assert answer.status_code == 404 and not Subscription.objects.exists()


@pytest.mark.parametrize("name", ["api", "openapi", "access"])
@pytest.mark.parametrize("slug", ["inside", "unknown"])
def test_an_api_that_is_not_public_is_not_there(name, slug):
    market()
    client = browser(developer("dana"))
    assert client.get(reverse(f"portal:{name}", args=[slug])).status_code == 404
    assert (
        client.post(reverse("portal:access", args=[slug]), {"plan": "free", "app": "new"}).status_code == 404
    )


def test_a_suspended_developer_is_out_at_once():
    market()
    dana = with_app("dana")
    client = browser(dana.developer)
    assert client.get(reverse("portal:apps")).status_code == 200
    dana.developer.active = False
    dana.developer.save()
    assert verdict(client.get(reverse("portal:apps"))) == "to sign in"
    assert client.get(reverse("portal:sign-in")).status_code == 200


def test_a_developer_is_no_member_of_the_console():
    client = browser(developer("dana"))
    assert client.get(reverse("console:overview")).status_code == 403
    assert client.get("/api/v1/apis").status_code in (403, 404)
