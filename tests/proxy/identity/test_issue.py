"""Issuing, revoking and rolling keys."""

import datetime

import pytest
from django.utils import timezone

from proxy.identity import keys
from proxy.identity.issue import KeyRefused, check_pepper, issue_key, node_pepper, revoke_key, roll_key
from proxy.models import App, Credential, IdentityVersion

pytestmark = [pytest.mark.django_db, pytest.mark.database]
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def app():
    return App.objects.create(name="shop")


def test_the_database_holds_the_hash_and_what_tells_keys_apart(app):
    credential, raw = issue_key(app, name="laptop")
    stored = Credential.objects.get()
    assert stored == credential and stored.app == app and stored.name == "laptop" and stored.usable
    assert bytes(stored.digest) == keys.digest(raw.encode(), node_pepper())
    assert raw.startswith(stored.prefix) and raw.endswith(stored.last_four)
    assert len(stored.prefix) + len(stored.last_four) == 12
    assert raw not in repr(Credential.objects.values().get())


def test_a_key_from_elsewhere_keeps_its_value_and_shows_little_of_a_short_one(app):
    credential, raw = issue_key(app, value=b"s3cret-8")
    assert raw == "s3cret-8"
    assert (credential.prefix, credential.last_four) == ("s3", "8")


@pytest.mark.parametrize(
    "value", [b"short", b"", b"x" * 129, b"tg_not-one-of-ours", "schlüssel1".encode(), b"a\n3456789"]
)
def test_what_cannot_be_a_key_is_refused_without_showing_it(app, value):
    with pytest.raises(KeyRefused) as caught:
        issue_key(app, value=value)
    assert not value or value.decode() not in str(caught.value)
    assert not Credential.objects.exists()


def test_no_key_is_issued_twice_be_it_revoked(app):
    credential, raw = issue_key(app)
    revoke_key(credential)
    with pytest.raises(KeyRefused):
        issue_key(app, value=raw.encode())
    assert Credential.objects.count() == 1


def test_a_key_is_revoked_once(app):
    credential, _ = issue_key(app)
    before = credential.sync_version
    assert revoke_key(credential)
    assert credential.sync_version > before and not credential.usable
    assert not revoke_key(credential)


def test_a_rolled_key_goes_on_for_the_overlap(app):
    old, _ = issue_key(app, name="laptop")
    fresh, raw = roll_key(old, HOUR)
    old.refresh_from_db()
    assert abs(old.expires_at - timezone.now() - HOUR) < datetime.timedelta(minutes=1)
    assert fresh.name == "laptop" and fresh.expires_at is None and keys.looks_valid(raw.encode())


def test_a_roll_never_makes_the_old_key_live_longer(app):
    soon = timezone.now() + datetime.timedelta(minutes=5)
    old, _ = issue_key(app, expires_at=soon)
    roll_key(old, HOUR)
    old.refresh_from_db()
    assert old.expires_at == soon


def test_a_roll_without_overlap_revokes(app):
    old, _ = issue_key(app)
    roll_key(old, datetime.timedelta(0))
    old.refresh_from_db()
    assert old.revoked_at is not None
    with pytest.raises(KeyRefused):
        roll_key(old, HOUR)


def test_the_first_key_decides_which_pepper_is_right(app):
    issue_key(app)
    with pytest.raises(keys.PepperError):
        issue_key(app, pepper=b"\x07" * 32)
    assert Credential.objects.count() == 1
    expected = bytes(IdentityVersion.current().pepper_check)
    check_pepper(expected, lambda text: keys.digest(text, node_pepper()))
    check_pepper(b"", lambda text: b"any")
    with pytest.raises(keys.PepperError):
        check_pepper(expected, lambda text: keys.digest(text, b"\x07" * 32))
