"""Issuing, rolling and revoking keys in the console: shown once, kept nowhere."""

import datetime
import json

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from consoles.models import AuditEntry
from proxy.identity.issue import node_pepper
from proxy.identity.keys import digest
from proxy.models import Credential
from tests.consoles.people import browser, errors_of
from tests.consoles.world import make_world

pytestmark = pytest.mark.django_db


def issued(answer):
    """The raw key on the page that shows it."""
    raw = answer.context["raw"]
    assert raw in answer.content.decode() and answer["Cache-Control"] == "no-store"
    return raw


def test_a_key_is_shown_once_and_kept_nowhere():
    world, client = make_world(), browser("eddie")
    data = {"app": world["apps"].pk, "name": "laptop", "days": "30"}
    raw = issued(client.post(reverse("console:keys-create"), data))
    key = Credential.objects.get(name="laptop")
    assert bytes(key.digest) == digest(raw.encode(), node_pepper())
    assert datetime.timedelta(days=29) < key.expires_at - timezone.now() <= datetime.timedelta(days=30)
    secret = raw[8:-4]
    stored = json.dumps([entry.changes for entry in AuditEntry.objects.all()])
    stored += "".join(str(session.get_decoded()) for session in Session.objects.all())
    pages = [
        reverse("console:keys-detail", args=[key.pk]),
        reverse("console:keys-list"),
        reverse("console:audit-list"),
    ]
    stored += "".join(client.get(url).content.decode() for url in pages)
    assert secret not in stored


def test_the_command_to_try_names_the_header_that_is_asked_for():
    world = make_world()
    policy = world["policies"]
    policy.config = {"names": ["x-shop-key"]}
    policy.save()
    answer = browser("eddie").post(reverse("console:keys-create"), {"app": world["apps"].pk})
    assert answer.context["curl"].startswith("curl -H 'x-shop-key: tg_") and answer.context["curl"].endswith(
        "/shop"
    )


def test_a_key_needs_an_app():
    assert "app" in errors_of(browser("eddie").post(reverse("console:keys-create"), {}))


def test_rolling_keeps_the_old_key_for_the_overlap():
    key, client = make_world()["keys"], browser("eddie")
    raw = issued(client.post(reverse("console:keys-roll", args=[key.pk]), {"overlap": "24"}))
    key.refresh_from_db()
    assert key.usable and key.expires_at < timezone.now() + datetime.timedelta(hours=25)
    assert Credential.objects.filter(digest=digest(raw.encode(), node_pepper()), app=key.app).exists()
    assert set(AuditEntry.objects.filter(kind="credential").values_list("action", flat=True)) == {
        "roll",
        "issue",
    }


def test_rolling_without_overlap_ends_the_old_key():
    key = make_world()["keys"]
    issued(browser("eddie").post(reverse("console:keys-roll", args=[key.pk]), {"overlap": "0"}))
    key.refresh_from_db()
    assert not key.usable


@pytest.mark.parametrize("overlap", ["", "-5", "999999", "x"])
def test_only_the_offered_overlaps_are_taken(overlap):
    key = make_world()["keys"]
    answer = browser("eddie").post(reverse("console:keys-roll", args=[key.pk]), {"overlap": overlap})
    assert answer.status_code == 422 and Credential.objects.count() == 1


def test_revoking_asks_for_the_apps_name():
    key, client = make_world()["keys"], browser("eddie")
    url = reverse("console:keys-revoke", args=[key.pk])
    assert client.post(url, {"confirm": "other"}).status_code == 422
    assert client.post(url, {"confirm": "checkout"}).status_code == 302
    key.refresh_from_db()
    assert key.revoked_at and AuditEntry.objects.filter(action="revoke").count() == 1
    assert client.post(url, {"confirm": "checkout"}).status_code == 302
    assert AuditEntry.objects.filter(action="revoke").count() == 1


def test_a_revoked_key_cannot_be_rolled():
    key, client = make_world()["keys"], browser("eddie")
    client.post(reverse("console:keys-revoke", args=[key.pk]), {"confirm": "checkout"})
    answer = client.post(reverse("console:keys-roll", args=[key.pk]), {"overlap": "24"})
    assert (
        answer.status_code == 422 and "revoked" in answer.content.decode() and Credential.objects.count() == 1
    )


@pytest.mark.parametrize(("state", "count"), [("good", 1), ("revoked", 1), ("expired", 1), ("soon", 0)])
def test_keys_by_their_state(state, count):
    world = make_world()
    common = {"app": world["apps"], "prefix": "tg_x", "last_four": "abcd"}
    Credential.objects.create(digest=b"1" * 16, revoked_at=timezone.now(), **common)
    Credential.objects.create(digest=b"2" * 16, expires_at=timezone.now() - datetime.timedelta(1), **common)
    assert len(browser().get(reverse("console:keys-list"), {"state": state}).context["rows"]) == count
