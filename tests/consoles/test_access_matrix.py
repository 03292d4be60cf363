"""Every URL of the console × every role × every method: who gets in. A new URL without a row fails."""

import itertools

import pytest
from django.contrib.auth import get_user_model
from django.urls import get_resolver, reverse

from consoles.models import Role
from consoles.ui.pages import Page
from tests.consoles.people import NAMES, browser, member
from tests.consoles.world import make_world

pytestmark = pytest.mark.django_db

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
V, E, P, O = Role.VIEWER, Role.EDITOR, Role.PUBLISHER, Role.OWNER  # noqa: E741 - as in the table


def _family(path, *, read=V, write=E, create=True, edit=True, delete=True):
    rows = {f"{path}-list": {"GET": read}}
    rows |= {f"{path}-download": {"GET": read}}
    rows |= {f"{path}-bulk": {"POST": write}} if edit or delete else {}
    rows |= {f"{path}-detail": {"GET": read}}
    rows |= {f"{path}-create": {"GET": write, "POST": write}} if create else {}
    rows |= {f"{path}-edit": {"GET": write, "POST": write}} if edit else {}
    rows |= {f"{path}-delete": {"GET": write, "POST": write}} if delete else {}
    return rows


MATRIX = {
    "overview": {"GET": V},
    "overview-traffic": {"GET": V},
    "tail": {"GET": V},
    "tail-request": {"GET": V},
    "traffic": {"GET": V},
    "traffic-detail": {"GET": V},
    "traffic-download": {"GET": V},
    "search": {"GET": V},
    "shortcuts": {"POST": V},
    "views-save": {"POST": V},
    "views-edit": {"GET": V, "POST": V},
    "pick": {"GET": E},
    "match": {"GET": V},
    "theme": {"POST": V},
    "password": {"GET": V, "POST": V},
    "publish": {"GET": V, "POST": P},
    "first-run": {"GET": V, "POST": E},
    "first-run-publish": {"POST": P},
    "first-run-done": {"POST": V},
    "first-run-call": {"GET": V},
    "first-run-protect": {"GET": V, "POST": E},
    "first-run-limit": {"GET": V, "POST": E},
    "first-run-portal": {"GET": V, "POST": E},
    "demo-traffic": {"GET": V, "POST": E},
    **_family("apis"),
    "apis-subscription": {"POST": E},
    **_family("routes"),
    **_family("upstreams"),
    **_family("targets"),
    **_family("policies"),
    "policies-preview": {"POST": E},
    **_family("plans"),
    **_family("apps"),
    **_family("developers"),
    **_family("subscriptions"),
    "subscriptions-decide": {"POST": E},
    **_family("keys", edit=False, delete=False),
    "keys-roll": {"GET": E, "POST": E},
    "keys-revoke": {"GET": E, "POST": E},
    **_family("certificates"),
    "settings-list": {"GET": V},
    "settings-edit": {"GET": E, "POST": E},
    **_family("members", read=O, write=O),
    "members-password": {"POST": O},
    **_family("revisions", create=False, edit=False, delete=False),
    "revisions-rollback": {"GET": P, "POST": P},
    "revisions-nodes": {"GET": V},
    **_family("audit", create=False, edit=False, delete=False),
}
"""For each URL, the least role for each method; every other method is refused."""

OPEN = {"sign-in", "sign-out"}
"""Not pages of the console: for people who are not signed in. They have tests of their own."""


def patterns():
    """Name and pattern of all URLs in the namespace."""
    (console,) = [one for one in get_resolver().url_patterns if getattr(one, "namespace", "") == "console"]
    return {pattern.name: pattern for pattern in console.url_patterns}


def address(name, world):
    """The URL, of an object of the world where it takes one."""
    pattern = patterns()[name]
    if name == "pick":
        return reverse("console:pick", args=["apis"])
    if "pk" not in pattern.pattern.converters:
        return reverse(f"console:{name}")
    path = name.rpartition("-")[0]
    if path == "certificates":
        return reverse(f"console:{name}", args=[1])
    return reverse(f"console:{name}", args=[world[path].pk])


def test_every_url_has_a_row():
    assert set(patterns()) == set(MATRIX) | OPEN


@pytest.mark.parametrize("name", sorted(MATRIX))
def test_every_page_is_guarded_at_one_place(name):
    assert issubclass(patterns()[name].callback.view_class, Page)


@pytest.mark.parametrize("name", sorted(MATRIX))
def test_who_gets_in(name):
    url, row = address(name, make_world()), MATRIX[name]
    found = {}
    browsers = {who: browser(who) for who in (*NAMES, "stranger", "nobody")}
    for (who, client), method in itertools.product(browsers.items(), METHODS):
        found[who, method] = _verdict(client.generic(method, url))
    expected = {(who, method): _expected(who, row, method) for who, method in found}
    assert found == expected


def _verdict(answer):
    if answer.status_code == 302 and "/sign-in/" in answer["Location"]:
        return "to sign in"
    return {403: "no", 405: "no method"}.get(answer.status_code, "yes")


def _expected(who, row, method):
    if who == "nobody":
        return "to sign in"
    if who == "stranger":
        return "no"
    if method not in row:
        return "no method"
    return "yes" if NAMES[who] >= row[method] else "no"


def test_a_head_is_a_get():
    assert browser("vera").head(reverse("console:overview")).status_code == 200


def test_an_account_that_may_not_sign_in_any_more_is_out_at_once():
    client = browser("vera")
    client.get(reverse("console:overview"))
    user = member("vera")
    user.is_active = False
    user.save()
    assert _verdict(client.get(reverse("console:overview"))) == "to sign in"


def test_htmx_is_told_to_leave_the_page_when_the_session_is_over():
    answer = browser("nobody").get(reverse("console:search"), headers={"HX-Request": "true"})
    assert answer.status_code == 401 and answer["HX-Redirect"] == reverse("console:sign-in")


def test_a_superuser_without_membership_is_nobody():
    user = get_user_model().objects.create_superuser("root", password="x")
    client = browser("nobody")
    client.force_login(user)
    assert client.get(reverse("console:overview")).status_code == 403
