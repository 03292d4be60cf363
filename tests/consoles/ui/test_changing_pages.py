"""Creating, editing and deleting through the generic pages, shown on Apis, Upstreams and Routes."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from consoles.models import AuditEntry
from proxy.models import Api, Route, Subscription, Target, Upstream
from tests.consoles.people import browser, errors_of, member
from tests.consoles.world import make_world, taken_meanwhile

pytestmark = pytest.mark.django_db

API = {
    "slug": "shop",
    "version": "v1",
    "base_path": "/shop",
    "lifecycle": "published",
    "visibility": "private",
}


def form_data(page):
    """What a browser would send back of the form on a page, unchanged."""
    form = page.context["form"]
    data = {"seen": form.seen}
    for name in form.fields:
        value = form[name].value()
        if value is True:
            data[name] = "on"
        elif value is not None and value is not False and not isinstance(value, list):
            data[name] = value
    return data


def test_an_api_is_created_and_written_down():
    answer = browser("eddie").post(
        reverse("console:apis-create"), {**API, "hosts": "a.example.test, b.example.test"}
    )
    api = Api.objects.get()
    assert answer.status_code == 302 and answer["Location"] == reverse("console:apis-detail", args=[api.pk])
    assert api.hosts == ["a.example.test", "b.example.test"]
    entry = AuditEntry.objects.get(kind="api")
    assert (entry.action, entry.actor_name, entry.object_name) == ("create", "eddie", "shop")
    assert {"field": "base_path", "before": None, "after": "/shop"} in entry.changes


def test_what_is_wrong_is_said_beside_its_field():
    answer = browser("eddie").post(
        reverse("console:apis-create"), {**API, "slug": "No Slug", "hosts": "A_B:80"}
    )
    assert answer.status_code == 422 and not Api.objects.exists() and not AuditEntry.objects.exists()
    errors = errors_of(answer)
    assert set(errors) == {"slug", "hosts"} and "lower-case letters" in errors["slug"][0]
    assert b'aria-invalid="true"' in answer.content


def test_a_taken_name_is_refused():
    Api.objects.create(slug="shop")
    answer = browser("eddie").post(reverse("console:apis-create"), API)
    assert "already exists" in errors_of(answer)["slug"][0]


def test_a_name_that_is_taken_this_moment_is_refused():
    world = make_world()
    edit = reverse("console:apis-edit", args=[world["apis"].pk])
    for url in (reverse("console:apis-create"), edit):
        with taken_meanwhile(Api, slug="other"):
            answer = browser("eddie").post(url, {**API, "slug": "other", "base_path": "/other"})
        assert answer.status_code == 422
    Subscription.objects.update(status="closed")
    with taken_meanwhile(Api, slug="other"):
        answer = browser("eddie").post(edit, {**API, "slug": "other"})
    assert answer.status_code == 422 and "Look again" in errors_of(answer)["__all__"][0]
    assert not Api.objects.filter(slug="other").exists()


def test_the_address_fills_in_the_form():
    world = make_world()
    page = browser("eddie").get(reverse("console:routes-create"), {"api": world["apis"].pk})
    assert str(page.context["form"]["api"].value()) == str(world["apis"].pk)


def test_an_edit_is_stored_with_both_values_in_the_audit():
    api, client = make_world()["apis"], browser("eddie")
    url = reverse("console:apis-edit", args=[api.pk])
    answer = client.post(url, {**form_data(client.get(url)), "title": "New title"})
    assert answer.status_code == 302
    api.refresh_from_db()
    assert api.title == "New title" and api.base_path == "/shop"
    entry = AuditEntry.objects.filter(action="update", actor_name="eddie").get()
    assert entry.changes == [{"field": "title", "before": "Shop", "after": "New title"}]


def test_saving_without_a_change_leaves_no_entry():
    api, client = make_world()["apis"], browser("eddie")
    url = reverse("console:apis-edit", args=[api.pk])
    client.post(url, form_data(client.get(url)))
    assert not AuditEntry.objects.filter(actor_name="eddie").exists()


@pytest.fixture
def two_editors():
    """Two who have the form of one Api open."""
    api = make_world()["apis"]
    url = reverse("console:apis-edit", args=[api.pk])
    first, second = browser("eddie"), browser("olga")
    return api, url, (first, form_data(first.get(url))), (second, form_data(second.get(url)))


def test_two_editors_of_different_fields_lose_nothing(two_editors):
    api, url, (first, mine), (second, theirs) = two_editors
    second.post(url, {**theirs, "description": "Theirs", "visibility": "public"})
    answer = first.post(url, {**mine, "title": "Mine"}, follow=True)
    api.refresh_from_db()
    assert (api.title, api.description, api.visibility) == ("Mine", "Theirs", "public")
    assert "olga changed description, visibility meanwhile" in answer.content.decode()


def test_two_editors_of_one_field_see_both_values(two_editors):
    api, url, (first, mine), (second, theirs) = two_editors
    second.post(url, {**theirs, "title": "Theirs", "description": "<b>Also theirs</b>"})
    answer = first.post(url, {**mine, "title": "Mine"})
    api.refresh_from_db()
    text = answer.content.decode()
    assert "olga changed this while you were editing" in text
    assert "Title is “Theirs” now; you changed it too, and yours is kept below" in text
    assert "Description is “&lt;b&gt;Also theirs&lt;/b&gt;” now; that is in the form below" in text
    assert answer.status_code == 422 and api.title == "Theirs"
    assert "“Theirs”" in errors_of(answer)["title"][0] and answer.context["form"]["title"].value() == "Mine"


def test_saving_again_replaces_knowingly(two_editors):
    api, url, (first, mine), (second, theirs) = two_editors
    second.post(url, {**theirs, "title": "Theirs", "description": "Kept"})
    refused = first.post(url, {**mine, "title": "Mine"})
    first.post(url, {**form_data(refused), "title": "Mine"})
    api.refresh_from_db()
    assert (api.title, api.description) == ("Mine", "Kept")


def test_a_checkbox_that_the_other_one_cleared_stays_cleared():
    route = make_world()["routes"]
    url = reverse("console:routes-edit", args=[route.pk])
    first, second = browser("eddie"), browser("olga")
    mine, theirs = form_data(first.get(url)), form_data(second.get(url))
    del theirs["enabled"]
    assert second.post(url, theirs).status_code == 302
    assert first.post(url, {**mine, "methods": "GET"}).status_code == 302
    route.refresh_from_db()
    assert route.enabled is False and route.methods == ["GET"]


def test_a_forged_memory_of_what_was_seen_is_no_error():
    api, client = make_world()["apis"], browser("eddie")
    url = reverse("console:apis-edit", args=[api.pk])
    for seen in ("", "{", "[]", '{"fields": 3}', json.dumps({"fields": {"title": 5}}), "[" * 100_000):
        assert client.post(url, {**form_data(client.get(url)), "seen": seen}).status_code in (302, 422)


def test_nested_settings_are_fields_of_the_form():
    client = browser("eddie")
    data = {**form_data(client.get(reverse("console:upstreams-create"))), "name": "orders"}
    data |= {"health_path": "/healthz", "health_interval": "5", "health_statuses": "200, 204"}
    answer = client.post(reverse("console:upstreams-create"), data)
    assert answer.status_code == 302, errors_of(answer)
    assert Upstream.objects.get().health == {"path": "/healthz", "interval": 5.0, "statuses": [200, 204]}


def test_what_is_wrong_in_a_nested_setting_is_said_at_its_field():
    client = browser("eddie")
    data = {
        **form_data(client.get(reverse("console:upstreams-create"))),
        "name": "orders",
        "health_path": "nope",
    }
    assert (
        "must start with '/'"
        in errors_of(client.post(reverse("console:upstreams-create"), data))["health_path"][0]
    )


def test_a_route_may_redirect_instead():
    world, client = make_world(), browser("eddie")
    data = form_data(client.get(reverse("console:routes-create")))
    data |= {
        "api": world["apis"].pk,
        "name": "old",
        "path": "/old",
        "redirects": "on",
        "redirect_path": "/new",
    }
    data |= {"headers": "x-a: 1\nx-b ~ ^v\nx-c", "redirect_status": "301"}
    answer = client.post(reverse("console:routes-create"), data)
    assert answer.status_code == 302, errors_of(answer)
    route = Route.objects.get(name="old")
    assert route.redirect == {"status": 301, "path": "/new"} and route.upstream is None
    assert route.headers == [
        {"name": "x-a", "value": "1"},
        {"name": "x-b", "value": "^v", "kind": "regex"},
        {"name": "x-c", "kind": "present"},
    ]
    assert client.get(reverse("console:routes-detail", args=[route.pk])).status_code == 200


def test_a_route_needs_a_destination():
    world, client = make_world(), browser("eddie")
    data = form_data(client.get(reverse("console:routes-create"))) | {"api": world["apis"].pk, "name": "lost"}
    assert "upstream" in errors_of(client.post(reverse("console:routes-create"), data))


def test_deleting_says_what_goes_with_it_and_asks_for_the_name():
    world, client = make_world(), browser("eddie")
    Subscription.objects.update(status="closed")
    url = reverse("console:apis-delete", args=[world["apis"].pk])
    page = client.get(url).content.decode()
    assert "1 Route" in page and "1 Subscription" in page
    refused = client.post(url, {"confirm": "wrong"})
    assert refused.status_code == 422 and Api.objects.exists()
    assert client.post(url, {"confirm": "shop"}).status_code == 302
    assert (
        not Api.objects.exists() and AuditEntry.objects.filter(action="delete", object_name="shop").exists()
    )


def test_an_api_that_apps_are_subscribed_to_stays_for_its_subscriptions_would_end_before_a_publish():
    world, client = make_world(), browser("eddie")
    url = reverse("console:apis-delete", args=[world["apis"].pk])
    for answer in (client.get(url), client.post(url, {"confirm": "shop"})):
        assert "1 App is subscribed to it" in answer.content.decode()
    assert Api.objects.exists() and Subscription.objects.exists()


def test_what_is_in_use_stays_and_says_by_whom():
    world, client = make_world(), browser("eddie")
    url = reverse("console:upstreams-delete", args=[world["upstreams"].pk])
    for answer in (client.get(url), client.post(url, {"confirm": "orders"})):
        assert "is in use" in answer.content.decode() and "shop-orders" in answer.content.decode()
    assert Target.objects.exists()


def test_hostile_names_show_as_text():
    world = make_world()
    hostile = "<script>alert(1)</script>"
    Api.objects.filter(pk=world["apis"].pk).update(title=hostile, description=hostile, tags=[hostile])
    for name in ("console:apis-detail", "console:apis-edit", "console:apis-delete"):
        assert hostile not in browser().get(reverse(name, args=[world["apis"].pk])).content.decode()


def test_there_is_no_page_of_what_is_not_there():
    assert browser().get(reverse("console:apis-detail", args=[999])).status_code == 404
    assert browser().post(reverse("console:apis-edit", args=[999]), {}).status_code == 404


def test_a_post_without_the_token_is_refused():
    client = Client(enforce_csrf_checks=True)
    client.force_login(member("eddie"))
    assert client.post(reverse("console:apis-create"), API).status_code == 403
