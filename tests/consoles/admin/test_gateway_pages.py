"""The match tester, search, overview, settings, certificates, Apps, Subscriptions, members and audit."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from analytics.models import Position
from consoles.models import AuditEntry, Membership, Role
from proxy.models import Api, App, Certificate, Gateway, Route, Subscription
from tests.consoles.people import browser, errors_of, member
from tests.consoles.world import make_world
from tests.proxy.config.pem import make_pair

pytestmark = pytest.mark.django_db


def tested(**query):
    """What the match tester finds."""
    return browser().get(reverse("console:match"), {"method": "GET", **query}).context["tested"]


def test_the_tester_names_the_route_and_why():
    world = make_world()
    found = tested(url="http://any.example/shop/orders/7?x=1")
    assert found.winner == "shop-orders" and found.url == reverse(
        "console:routes-detail", args=[world["routes"].pk]
    )
    Route.objects.create(api=world["apis"], name="broad", path="/", upstream=world["upstreams"])
    found = tested(url="/shop/orders/7")
    assert [(one.verdict.route, "more specific" in one.verdict.reason) for one in found.others] == [
        ("broad", True)
    ]


def test_the_tester_knows_the_draft_before_it_is_published():
    world = make_world()
    Route.objects.create(api=world["apis"], name="fresh", path="/fresh", upstream=world["upstreams"])
    assert tested(url="/shop/fresh").winner == "fresh"


def test_near_misses_and_methods():
    world = make_world()
    Route.objects.filter(pk=world["routes"].pk).update(
        methods=["POST"], headers=[{"name": "x-a", "kind": "present"}]
    )
    assert tested(url="/shop/orders", headers="x-a: 1").allowed == ["POST"]
    assert tested(url="/shop/orders", method="post", headers="x-a: 1").winner == "shop-orders"
    assert "x-a is missing" in tested(url="/shop/orders", method="post").others[0].verdict.reason
    assert tested(url="/nowhere").winner == ""


@pytest.mark.parametrize(
    "url", ["http://[", "/a/%2e%2e%2f%00", "http://h/" + "é" * 5, "::::", "/" + "x" * 5000, "/a b"]
)
def test_an_address_that_is_none_is_said_so(url):
    make_world()
    answer = browser().get(reverse("console:match"), {"url": url, "method": "GET", "headers": ""})
    assert answer.status_code == 200


def test_a_draft_that_cannot_be_compiled_still_answers():
    world = make_world()
    Route.objects.create(
        api=world["apis"], name="broken", path_kind="regex", path="(", upstream=world["upstreams"]
    )
    found = tested(url="/shop/orders")
    assert found.winner == "shop-orders" and "broken" in found.problems[0]


def test_search_finds_every_kind_of_object():
    make_world()
    client, url = browser(), reverse("console:search")
    for text, kind in (
        ("shop", "Apis"),
        ("shop", "Routes"),
        ("orders", "Upstreams"),
        ("checkout", "Apps"),
        ("dana@", "Developers"),
        ("gold", "Plans"),
        ("production", "Keys"),
        ("vera", "Members"),
    ):
        groups = {group["name"] for group in client.get(url, {"q": text}).context["groups"]}
        assert kind in groups, text
    part = client.get(url, {"q": "shop"}, headers={"HX-Request": "true", "HX-Target": "palette-results"})
    assert "<html" not in part.content.decode()
    viewer = browser("vera").get(url, {"q": "vera"}).context["groups"]
    assert "Members" not in {group["name"] for group in viewer}


def test_the_overview_shows_what_waits_and_decides_on_the_spot():
    world = make_world()
    url = reverse("console:subscriptions-decide", args=[world["subscriptions"].pk])
    assert url in browser("eddie").get(reverse("console:overview")).content.decode()
    assert url not in browser("vera").get(reverse("console:overview")).content.decode()
    answer = browser("eddie").post(url, {"decision": "approve", "next": "overview"})
    assert answer["Location"] == reverse("console:overview")
    world["subscriptions"].refresh_from_db()
    assert world["subscriptions"].status == "accepted" and world["subscriptions"].decided_at
    assert AuditEntry.objects.get(action="approve").actor_name == "eddie"


def test_a_subscription_is_decided_once():
    row, client = make_world()["subscriptions"], browser("eddie")
    url = reverse("console:subscriptions-decide", args=[row.pk])
    client.post(url, {"decision": "reject"})
    answer = client.post(url, {"decision": "approve"}, follow=True)
    row.refresh_from_db()
    assert row.status == "rejected" and "Nothing was done" in answer.content.decode()
    assert client.post(url, {"decision": "nonsense"}).status_code == 404


def test_a_second_live_subscription_is_refused_in_words():
    world, client = make_world(), browser("eddie")
    data = {"app": world["apps"].pk, "api": world["apis"].pk, "plan": world["plans"].pk, "status": "accepted"}
    assert "already" in str(errors_of(client.post(reverse("console:subscriptions-create"), data)))
    other = Subscription.objects.create(
        app=world["apps"], api=world["apis"], plan=world["plans"], status="closed"
    )
    page = client.get(reverse("console:subscriptions-edit", args=[other.pk]))
    assert list(page.context["form"].fields) == ["plan", "status"]


def test_an_app_keeps_its_groups():
    client = browser("eddie")
    answer = client.post(
        reverse("console:apps-create"), {"name": "mobile", "active": "on", "app_groups": "gold\nbeta"}
    )
    assert answer.status_code == 302, errors_of(answer)
    assert App.objects.get().groups == ["gold", "beta"]
    bad = client.post(reverse("console:apps-create"), {"name": "x", "app_groups": "a\na"})
    assert "named twice" in errors_of(bad)["app_groups"][0]


def test_a_certificate_shows_what_it_serves_and_never_its_key():
    chain, key = make_pair("shop.example.test")
    client = browser("eddie")
    answer = client.post(reverse("console:certificates-create"), {"name": "shop", "chain": chain, "key": key})
    assert answer.status_code == 302, errors_of(answer)
    row = Certificate.objects.get()
    page = client.get(answer["Location"]).content.decode()
    assert "shop.example.test" in page and "days left" in page and key.splitlines()[1] not in page
    edit = client.get(reverse("console:certificates-edit", args=[row.pk]))
    assert key.splitlines()[1] not in edit.content.decode()
    assert (
        client.post(
            reverse("console:certificates-edit", args=[row.pk]), {"name": "renamed", "chain": chain}
        ).status_code
        == 302
    )
    row.refresh_from_db()
    assert row.name == "renamed" and row.key.strip() == key.strip()


def test_a_certificate_whose_secret_is_lost_can_be_seen_and_mended(settings):
    chain, key = make_pair("shop.example.test")
    row = Certificate.objects.create(name="shop", chain=chain, key=key)
    settings.SECRET_KEY = "another-secret-than-the-key-was-sealed-with"
    client, edit = browser("eddie"), reverse("console:certificates-edit", args=[row.pk])
    for url in (
        reverse("console:certificates-list"),
        reverse("console:certificates-detail", args=[row.pk]),
        edit,
    ):
        page = client.get(url)
        assert page.status_code == 200 and "sealed:" not in page.content.decode()
    kept = client.post(edit, {"name": "renamed", "chain": chain})
    assert "another SECRET_KEY" in errors_of(kept)["key"][0] and "sealed:" not in kept.content.decode()
    assert "another SECRET_KEY" in client.get(reverse("console:publish")).content.decode()
    assert client.post(edit, {"name": "shop", "chain": chain, "key": key}).status_code == 302
    assert Certificate.objects.get().key.strip() == key.strip()
    assert "sealed:" not in str(AuditEntry.objects.values_list("changes", flat=True))


def test_a_key_that_does_not_fit_is_refused():
    (chain, _), (_, key) = make_pair("a.example.test"), make_pair("b.example.test")
    answer = browser("eddie").post(
        reverse("console:certificates-create"), {"name": "x", "chain": chain, "key": key}
    )
    assert (
        answer.status_code == 422
        and errors_of(answer)
        and key.splitlines()[1] not in str(AuditEntry.objects.all())
    )


def test_gateway_settings_store_only_what_differs():
    client = browser("eddie")
    Gateway.load()
    url = reverse("console:settings-edit", args=[1])
    form = client.get(url).context["form"]
    data = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    data |= {"limits_body_bytes": "5000", "trusted_proxies": "10.0.0.0/8", "seen": form.seen}
    answer = client.post(url, data)
    assert answer.status_code == 302, errors_of(answer)
    assert Gateway.load().limits == {"body_bytes": 5000} and Gateway.load().trusted_proxies == ["10.0.0.0/8"]
    bad = client.post(url, {**data, "limits_header_count": "1", "trusted_proxies": "nonsense"})
    assert set(errors_of(bad)) >= {"trusted_proxies"}


def test_a_member_is_added_with_a_password_shown_once():
    client = browser("olga")
    data = {"username": "nina", "role": "2", "email": ""}
    answer = client.post(reverse("console:members-create"), data)
    password = answer.context["password"]
    assert (
        member("nina").check_password(password)
        and Membership.objects.get(user__username="nina").role == Role.EDITOR
    )
    assert password not in str(list(AuditEntry.objects.values_list("changes", flat=True)))
    for taken in ("nina", "Nina", "\uff4e\uff49\uff4e\uff41", "\ufdfa" * 20):
        refused = client.post(reverse("console:members-create"), {**data, "username": taken})
        assert "username" in errors_of(refused)


def test_the_last_owner_stays_one():
    client = browser("olga")
    row = Membership.objects.get(user__username="olga")
    answer = client.post(reverse("console:members-edit", args=[row.pk]), {"role": "1", "active": "on"})
    assert "last owner" in str(errors_of(answer))
    assert (
        client.post(reverse("console:members-delete", args=[row.pk]), {"confirm": "olga"}).status_code == 422
    )
    browser("eddie")
    other = Membership.objects.get(user__username="eddie")
    client.post(reverse("console:members-edit", args=[other.pk]), {"role": "4", "active": "on"})
    assert (
        client.post(reverse("console:members-edit", args=[row.pk]), {"role": "1", "active": "on"}).status_code
        == 302
    )


def test_a_member_without_leave_to_sign_in_is_out():
    browser("eddie")
    row = Membership.objects.get(user__username="eddie")
    browser("olga").post(reverse("console:members-edit", args=[row.pk]), {"role": "2"})
    assert not member("eddie").is_active


def test_the_audit_is_filtered_and_links_both_ways():
    world = make_world()
    browser("eddie").post(
        reverse("console:subscriptions-decide", args=[world["subscriptions"].pk]), {"decision": "approve"}
    )
    client, url = browser(), reverse("console:audit-list")
    assert len(client.get(url, {"action": "approve", "actor": "eddie", "since": "1"}).context["rows"]) == 1
    assert len(client.get(url, {"kind": "api", "object": world["apis"].pk}).context["rows"]) == 1
    entry = AuditEntry.objects.get(action="approve")
    page = client.get(reverse("console:audit-detail", args=[entry.pk])).content.decode()
    assert (
        reverse("console:subscriptions-detail", args=[world["subscriptions"].pk]) in page
        and "accepted" in page
    )
    detail = client.get(
        reverse("console:subscriptions-detail", args=[world["subscriptions"].pk])
    ).content.decode()
    assert reverse("console:audit-detail", args=[entry.pk]) in detail


def test_old_entries_fall_out_of_a_period():
    AuditEntry.objects.create(
        actor_name="x", action="update", kind="api", at=timezone.now() - datetime.timedelta(hours=2)
    )
    client, url = browser(), reverse("console:audit-list")
    assert len(client.get(url, {"since": "1"}).context["rows"]) == 0
    assert len(client.get(url, {"since": "24"}).context["rows"]) == 1


def test_pages_say_where_one_is_in_the_menu():
    Api.objects.create(slug="a")
    page = browser().get(reverse("console:apis-list")).content.decode()
    assert page.count('aria-current="page"') == 1


def test_the_overview_says_which_node_now_is_about(settings):
    settings.NODE_NAME = "harbour-1"
    make_world()
    url, old = reverse("console:overview"), timezone.now() - datetime.timedelta(days=2)
    Position.objects.create(name="one", spool="a")
    Position.objects.create(name="other", spool="b", updated_at=old)
    alone = browser("vera").get(url).content.decode()
    assert "on node harbour-1<" in alone
    Position.objects.filter(name="other").update(updated_at=timezone.now())
    assert (
        "on node harbour-1 alone; the traffic below is that of all nodes"
        in browser("vera").get(url).content.decode()
    )
