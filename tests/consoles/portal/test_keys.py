"""From a Plan to a key, and what becomes of keys, Apps and Subscriptions."""

import datetime
import re

import pytest
from django.urls import reverse
from django.utils import timezone

from consoles.models import AuditEntry
from consoles.portal import apps, keys
from proxy.config.publish import publish
from proxy.identity.issue import node_pepper
from proxy.identity.keys import digest
from proxy.models import Api, App, Credential, Plan, Subscription
from tests.consoles.portal.people import browser, developer, market, with_app

pytestmark = pytest.mark.django_db


def raw_of(answer):
    return re.search(r'<code class="secret">([^<]+)</code>', answer.content.decode()).group(1)


def access(client, **data):
    return client.post(reverse("portal:access", args=["shop"]), {"plan": "free", "app": "new", **data})


def test_one_form_leads_from_a_plan_to_a_key():
    market()
    dana = developer("dana")
    answer = access(browser(dana), title="Check out!")
    raw, app, key = raw_of(answer), App.objects.get(), Credential.objects.get()
    assert answer["Cache-Control"] == "no-store" and answer.status_code == 200
    assert (
        app.developer == dana
        and app.title == "Check out!"
        and re.fullmatch(r"check-out-[0-9a-f]{8}", app.name)
    )
    assert Subscription.objects.get().status == "accepted"
    assert bytes(key.digest) == digest(raw.encode(), node_pepper())
    assert (
        f"curl -H &#x27;x-shop-key: {raw}&#x27; &#x27;http://127.0.0.1:8000/shop/orders&#x27;"
        in answer.content.decode()
    )


def test_a_key_is_nowhere_after_it_was_shown(caplog):
    market()
    client = browser(developer("dana"))
    raw = raw_of(access(client, title="Checkout"))
    app, key = App.objects.get(), Credential.objects.get()
    assert raw not in str(list(AuditEntry.objects.values())) and raw not in caplog.text
    for name, pk in (("app", app.pk), ("key-roll", key.pk), ("key-revoke", key.pk)):
        assert raw not in client.get(reverse(f"portal:{name}", args=[pk])).content.decode()
    assert {entry.action for entry in AuditEntry.objects.all()} == {"create", "issue"}


def test_a_plan_with_approval_waits():
    market()
    client = browser(developer("dana"))
    answer = access(client, plan="gold", title="Checkout")
    app, row = App.objects.get(), Subscription.objects.get()
    assert answer["Location"] == reverse("portal:app", args=[app.pk])
    assert row.status == "pending" and row.decided_at is None and not Credential.objects.exists()
    assert "pending" in client.get(answer["Location"]).content.decode()


def test_an_app_that_has_keys_goes_on_with_them():
    market()
    dana = with_app("dana")
    dana.subscription.delete()
    answer = access(browser(dana.developer), app=str(dana.app.pk))
    assert answer.status_code == 302 and Credential.objects.count() == 1
    assert Subscription.objects.get().status == "accepted"


def test_an_app_has_an_api_once():
    market()
    dana = with_app("dana")
    answer = access(browser(dana.developer), app=str(dana.app.pk))
    assert answer.status_code == 422 and "already" in answer.content.decode()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 101}, "title"),
        ({"title": "a\0b"}, "title"),
        ({"title": "x", "plan": "unknown"}, "plan"),
        ({"title": "x", "plan": "elsewhere"}, "plan"),
        ({"title": "x", "app": ""}, "app"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(data, field):
    market()
    answer = access(browser(developer("dana")), **data)
    assert answer.status_code == 422 and answer.context["errors"][field]
    assert not App.objects.exists() and not Credential.objects.exists()


def test_there_is_a_most_of_everything(monkeypatch):
    market()
    monkeypatch.setattr(apps, "MOST_APPS", 1)
    monkeypatch.setattr(keys, "MOST_KEYS", 2)
    dana = with_app("dana")
    client = browser(dana.developer)
    assert access(client, title="Another").status_code == 422 and App.objects.count() == 1
    url = reverse("portal:key-new", args=[dana.app.pk])
    assert [client.post(url, {"name": "x", "days": ""}).status_code for _ in range(2)] == [200, 422]


def test_issuing_has_a_limit_in_time():
    market()
    dana = with_app("dana")
    client, url = browser(dana.developer), reverse("portal:key-new", args=[dana.app.pk])
    found = [client.post(url, {"name": "x"}).status_code for _ in range(31)]
    assert found[:19] == [200] * 19 and found[-1] == 429 and Credential.objects.count() == 20
    assert access(client, title="More").status_code == 429


def test_a_key_is_rolled_with_an_overlap():
    market()
    dana = with_app("dana")
    url = reverse("portal:key-roll", args=[dana.key.pk])
    answer = browser(dana.developer).post(url, {"overlap": "24"})
    dana.key.refresh_from_db()
    assert dana.key.usable and dana.key.expires_at is not None and Credential.objects.count() == 2
    assert "24 more hours" in answer.content.decode() and raw_of(answer)
    assert {"roll", "issue"} <= {entry.action for entry in AuditEntry.objects.all()}


def test_a_key_that_ends_before_the_overlap_does_is_said_to():
    market()
    dana = with_app("dana")
    dana.key.expires_at = timezone.now() + datetime.timedelta(hours=1)
    dana.key.save()
    url = reverse("portal:key-roll", args=[dana.key.pk])
    html = browser(dana.developer).post(url, {"overlap": "24"}).content.decode()
    assert "24 more hours" not in html and f"{dana.key.expires_at:%Y-%m-%d %H:%M} UTC" in html


def test_a_key_is_revoked_when_the_name_is_typed():
    market()
    dana = with_app("dana")
    client, url = browser(dana.developer), reverse("portal:key-revoke", args=[dana.key.pk])
    assert client.post(url, {"confirm": "no"}).status_code == 422
    dana.key.refresh_from_db()
    assert dana.key.usable
    assert client.post(url, {"confirm": "App of dana"}).status_code == 302
    dana.key.refresh_from_db()
    assert not dana.key.usable
    assert client.get(url).status_code == 404
    assert client.get(reverse("portal:key-roll", args=[dana.key.pk])).status_code == 404


def test_an_app_is_renamed_and_deleted():
    market()
    dana = with_app("dana")
    client, pk = browser(dana.developer), dana.app.pk
    client.post(reverse("portal:app-edit", args=[pk]), {"title": "<i>New</i>"})
    page = client.get(reverse("portal:app", args=[pk])).content.decode()
    assert "&lt;i&gt;New&lt;/i&gt;" in page and "<i>New" not in page
    delete = reverse("portal:app-delete", args=[pk])
    assert client.post(delete, {"confirm": "New"}).status_code == 422
    assert client.post(delete, {"confirm": "<i>New</i>"}).status_code == 302
    assert not App.objects.exists() and not Credential.objects.exists()


def test_a_subscription_is_given_up_and_taken_again():
    market()
    dana = with_app("dana")
    client = browser(dana.developer)
    client.post(reverse("portal:subscription-close", args=[dana.subscription.pk]))
    dana.subscription.refresh_from_db()
    assert dana.subscription.status == "closed"
    assert access(client, app=str(dana.app.pk)).status_code == 302
    assert Subscription.objects.filter(status="accepted").count() == 1


def test_what_is_live_counts_and_not_the_draft():
    api = market()
    client = browser(developer("dana"))
    Api.objects.filter(pk=api.pk).update(title="Draft title", visibility="private")
    Plan.objects.create(name="draft", title="Draft plan")
    page = client.get(reverse("portal:api", args=["shop"])).content.decode()
    assert "Draft title" not in page and "Draft plan" not in page
    assert access(client, plan="draft", title="x").status_code == 422
    publish("hidden", "olga")
    assert client.get(reverse("portal:api", args=["shop"])).status_code == 404
