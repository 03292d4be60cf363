"""One action on many objects: what it changes, writes down, keeps, and whom it asks."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from consoles.admin.routes import Routes
from consoles.models import AuditEntry, Membership
from consoles.ui.family import Family
from proxy.models import Api, App, Policy, Route, Subscription, Upstream
from tests.consoles.people import browser, member
from tests.consoles.world import make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def routes():
    """Four Routes, one of which is off."""
    world = make_world()
    return [
        world["routes"],
        *(
            Route.objects.create(
                api=world["apis"], name=f"r{n}", path=f"/{n}", upstream=world["upstreams"], enabled=n > 0
            )
            for n in range(3)
        ),
    ]


def send(path, action, rows, name="eddie", **more):
    """What the bar above a list sends."""
    data = {"action": action, "pk": [row.pk for row in rows], **more}
    return browser(name).post(reverse(f"console:{path}-bulk"), data, follow=True)


def said(answer):
    """The messages on the page."""
    return [str(message) for message in answer.context["messages"]]


def test_many_are_turned_off_with_an_entry_for_each(routes):
    answer = send("routes", "disable", routes, next="enabled=True&sort=name")
    assert not Route.objects.filter(enabled=True).exists()
    entries = AuditEntry.objects.filter(actor_name="eddie", kind="route", action="update")
    assert entries.count() == 3
    assert entries.first().changes == [{"field": "enabled", "before": True, "after": False}]
    assert said(answer)[0].startswith("3 Routes are disabled now. 1 was before. It takes effect with")
    assert answer.redirect_chain == [(f"{reverse('console:routes-list')}?enabled=True&sort=name", 302)]


def test_what_would_not_be_valid_stays_off_and_says_why(routes):
    Route.objects.filter(pk=routes[1].pk).update(path="no-slash")
    answer = send("routes", "enable", routes)
    assert Route.objects.filter(enabled=False).get() == routes[1]
    assert "Left as they were: r0" in said(answer)[1]


def test_apps_are_suspended_and_policies_turned_off():
    world = make_world()
    send("apps", "disable", [world["apps"]])
    send("policies", "disable", [world["policies"]])
    assert App.objects.get().active is False
    assert Policy.objects.get(pk=world["policies"].pk).mode == "off"


def test_deleting_asks_first_and_says_what_goes_along(routes):
    assert "1 App is subscribed to it" in send("apis", "delete", Api.objects.all()).content.decode()
    Subscription.objects.update(status="closed")
    page = send("apis", "delete", Api.objects.all()).content.decode()
    assert "4 Routes" in page and "1 Subscription" in page and "delete 1" in page and Api.objects.exists()
    refused = send("apis", "delete", Api.objects.all(), confirm="yes")
    assert refused.status_code == 422 and Api.objects.exists()
    answer = send("apis", "delete", Api.objects.all(), confirm="Delete 1")
    assert not Api.objects.exists() and "1 Api is deleted." in said(answer)[0]
    assert AuditEntry.objects.get(action="delete", kind="api").object_name == "shop"


def test_what_is_in_use_is_named_and_stays_the_rest_goes(routes):
    spare = [Upstream.objects.create(name=f"spare-{n}") for n in range(3)]
    chosen = [routes[0].upstream, *spare]
    page = send("upstreams", "delete", chosen).content.decode()
    assert "1 Upstream stays" in page and "shop-orders" in page and "delete 3" in page
    answer = send("upstreams", "delete", chosen, confirm="delete 3")
    assert [one.name for one in Upstream.objects.all()] == ["orders"]
    assert "3 Upstreams are deleted" in said(answer)[0] and "orders: in use by Route" in said(answer)[1]


def test_two_owners_cannot_both_be_deleted():
    owners = [member("olga"), member("oscar")]
    Membership.objects.create(user=owners[1], role=4)
    rows = [owner.membership for owner in owners]
    send("members", "delete", rows, name="olga", confirm="delete 2")
    assert Membership.objects.filter(role=4).count() == 1


def test_each_object_is_asked_for_by_itself(routes, monkeypatch):
    monkeypatch.setattr(Routes, "may_change", lambda self, user, row: row.name != "r1")
    answer = send("routes", "disable", routes)
    assert Route.objects.get(enabled=True).name == "r1" and "r1: You may not change it." in said(answer)[1]
    assert browser("eddie").get(reverse("console:routes-edit", args=[routes[2].pk])).status_code == 403
    assert browser("eddie").get(reverse("console:routes-delete", args=[routes[2].pk])).status_code == 403


def test_nothing_happens_by_half(routes, monkeypatch):
    def break_at_last(row, *_):
        if row.name == "r2":
            raise RuntimeError
        return ""

    monkeypatch.setattr("consoles.ui.bulk._problem_of", break_at_last)
    Route.objects.update(enabled=False)
    client = browser("eddie")
    client.raise_request_exception = False
    data = {"action": "enable", "pk": [row.pk for row in routes]}
    assert client.post(reverse("console:routes-bulk"), data).status_code == 500
    assert not Route.objects.filter(enabled=True).exists()
    assert not AuditEntry.objects.filter(actor_name="eddie").exists()


@pytest.mark.parametrize(
    "data",
    [
        {"action": "disable"},
        {"action": "explode", "pk": ["1"]},
        {"action": "delete", "pk": ["x", "-1", "9" * 30, "²", "0"]},
        {"pk": ["1"]},
    ],
)
def test_nonsense_changes_nothing(routes, data):
    before = list(Route.objects.values_list("pk", "enabled"))
    assert browser("eddie").post(reverse("console:routes-bulk"), data).status_code == 302
    assert list(Route.objects.values_list("pk", "enabled")) == before


def test_a_viewer_is_offered_no_boxes_and_lists_that_cannot_change_have_none(routes):
    assert "data-tick" not in browser("vera").get(reverse("console:routes-list")).content.decode()
    assert "data-tick" not in browser().get(reverse("console:audit-list")).content.decode()
    page = browser("eddie").get(reverse("console:routes-list")).content.decode()
    assert page.count("data-tick>") == 4 and "Select all on this page" in page


def test_the_page_that_asks_takes_few_queries_for_many(routes):
    Upstream.objects.bulk_create(Upstream(name=f"spare-{n}") for n in range(100))
    client = browser("eddie")
    data = {"action": "delete", "pk": [row.pk for row in Upstream.objects.filter(name__startswith="spare")]}
    with CaptureQueriesContext(connection) as queries:
        assert client.post(reverse("console:upstreams-bulk"), data).status_code == 200
    assert len(queries) <= 30


def test_a_new_entity_gets_its_actions_from_its_model():
    class Things(Family):
        model, path, noun, plural = App, "things", "thing", "Things"

    class Fixed(Things):
        editable = deletable = False

    assert [one.label for one in Things().bulk()] == ["Activate", "Suspend", "Delete"]
    assert Fixed().bulk() == []
