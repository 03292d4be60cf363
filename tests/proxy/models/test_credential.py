"""Credential."""

import datetime

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from proxy.models import App, Credential

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def credential():
    app = App.objects.create(name="shop")
    return Credential.objects.create(app=app, digest=b"a" * 16, prefix="tg_abcde", last_four="WXYZ")


def test_a_digest_is_there_once(credential):
    with pytest.raises(IntegrityError), transaction.atomic():
        Credential.objects.create(app=credential.app, digest=b"a" * 16)


def test_a_digest_never_changes(credential):
    for row in (credential, Credential.objects.get()):
        row.digest = b"b" * 16
        with pytest.raises(ValueError, match="never changes"):
            row.save()
    assert bytes(Credential.objects.get().digest) == b"a" * 16


def test_a_row_read_without_its_digest_can_be_saved(credential):
    row = Credential.objects.defer("digest").get()
    row.name = "laptop"
    row.save()
    assert Credential.objects.get().name == "laptop"
    assert bytes(Credential.objects.get().digest) == b"a" * 16


def test_usable_until_revoked_or_expired(credential):
    now = timezone.now()
    assert credential.usable
    credential.expires_at = now + datetime.timedelta(seconds=60)
    assert credential.usable
    credential.expires_at = now - datetime.timedelta(seconds=1)
    assert not credential.usable
    credential.expires_at, credential.revoked_at = None, now
    assert not credential.usable


def test_it_is_shown_by_its_ends(credential):
    assert str(credential) == "tg_abcde…WXYZ"
