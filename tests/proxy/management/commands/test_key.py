"""`manage.py key`."""

import argparse
import datetime
import io
import re
import sys

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from proxy.identity import keys
from proxy.identity.issue import node_pepper
from proxy.management.commands.key import duration
from proxy.models import App, Credential, IdentityVersion

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def key(*arguments):
    """Run the command; what it wrote to standard output and to standard error."""
    out, notes = io.StringIO(), io.StringIO()
    call_command("key", *arguments, stdout=out, stderr=notes)
    return out.getvalue(), notes.getvalue()


@pytest.fixture
def app():
    return App.objects.create(name="shop")


def test_the_key_alone_is_on_standard_output(app):
    out, notes = key("issue", "--app", "shop", "--name", "laptop")
    raw = out.removesuffix("\n")
    assert keys.looks_valid(raw.encode()) and raw.startswith("tg_")
    assert raw not in notes and "shop" in notes
    credential = Credential.objects.get()
    assert credential.name == "laptop" and credential.expires_at is None
    assert bytes(credential.digest) == keys.digest(raw.encode(), node_pepper())


def test_the_app_may_be_named_without_an_option_and_made_on_the_way():
    with pytest.raises(CommandError, match="no App named shop"):
        key("issue", "shop")
    key("issue", "shop", "--create-app")
    key("issue", "shop", "--create-app")
    assert App.objects.count() == 1 and Credential.objects.count() == 2
    with pytest.raises(CommandError, match="lower case"):
        key("issue", "Not A Name", "--create-app")
    with pytest.raises(CommandError, match="Name the App"):
        key("issue")
    with pytest.raises(CommandError, match="not allowed with"):
        key("issue", "shop", "--app", "other")


def test_a_key_may_expire(app):
    _, notes = key("issue", "shop", "--expires", "90d")
    left = Credential.objects.get().expires_at - timezone.now()
    assert abs(left - datetime.timedelta(days=90)) < datetime.timedelta(minutes=1)
    assert f"{timezone.now() + datetime.timedelta(days=90):%Y-%m}" in notes


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("12h", 43200), ("1d", 86400), ("2w", 1209600)])
def test_durations(text, seconds):
    assert duration(text) == datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "9", "0d", "-1d", "1y", "d", "1.5h", "99999999w", "1 d"])
def test_bad_durations(text):
    with pytest.raises(argparse.ArgumentTypeError):
        duration(text)


def test_a_key_from_elsewhere_comes_on_standard_input(app, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"old-gateway-key\r\nmore\n")))
    out, notes = key("issue", "shop", "--value")
    assert out == "" and "old-gateway-key" not in notes
    assert bytes(Credential.objects.get().digest) == keys.digest(b"old-gateway-key", node_pepper())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"short\n")))
    with pytest.raises(CommandError, match="8 to 128"):
        key("issue", "shop", "--value")


def test_revoke_by_id_start_whole_key_and_as_listed(app):
    for pick in (
        lambda raw, row: str(row.pk),
        lambda raw, row: raw[:8],
        lambda raw, row: raw[:6],
        lambda raw, row: raw,
        lambda raw, row: str(row),
    ):
        raw = key("issue", "shop")[0].strip()
        row = Credential.objects.latest("pk")
        key("revoke", pick(raw, row))
        row.refresh_from_db()
        assert row.revoked_at is not None


def test_revoke_takes_no_other_key_than_the_one_meant(app):
    raw = key("issue", "shop")[0].strip()
    typo = raw[:-1] + ("0" if raw[-1] != "0" else "1")
    key("issue", "shop")
    for text in (typo, "tg_", "", "999999", raw[:8] + "…nope"):
        with pytest.raises(CommandError, match="no such key"):
            key("revoke", text)
    Credential.objects.update(prefix="tg_abcde")
    with pytest.raises(CommandError, match="Several"):
        key("revoke", "tg_abcd")
    assert not Credential.objects.exclude(revoked_at=None).exists()


def test_what_is_revoked_stays_revoked(app):
    key("issue", "shop")
    number = str(Credential.objects.get().pk)
    key("revoke", number)
    with pytest.raises(CommandError, match="before"):
        key("revoke", number)


def test_the_list_shows_state_and_ends_of_keys_never_a_key(app):
    App.objects.create(name="other")
    raw = [key("issue", "shop", *more)[0].strip() for more in ((), ("--expires", "1d"), ())]
    key("issue", "other", "--name", "elsewhere")
    key("revoke", raw[2])
    out, _ = key("list", "shop")
    assert "elsewhere" not in out and not any(one in out for one in raw)
    assert all(f"{one[:8]}…{one[-4:]}" in out for one in raw)
    states = [re.split(r"\s{2,}", line)[3] for line in out.splitlines()[1:]]
    assert [state.split()[0] for state in states] == ["active", "active", "revoked"]
    assert "elsewhere" in key("list")[0]
    Credential.objects.update(expires_at=timezone.now() - datetime.timedelta(days=2))
    assert "expired" in key("list", "--app", "shop")[0]


def test_an_app_that_is_not_active_is_mentioned(app):
    App.objects.update(active=False)
    assert "not active" in key("issue", "shop")[1]


def test_resync_makes_every_node_copy_anew():
    before = IdentityVersion.current().database
    key("resync")
    assert IdentityVersion.current().database != before


def test_another_pepper_is_refused_in_one_line(app, monkeypatch):
    key("issue", "shop")
    monkeypatch.setenv("TIDEGATE_KEY_PEPPER", "ab" * 32)
    with pytest.raises(CommandError, match="another pepper"):
        key("issue", "shop")
