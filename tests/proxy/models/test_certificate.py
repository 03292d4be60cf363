"""Certificate."""

import pytest
from django.core.exceptions import ValidationError

from proxy.config.certificates import BadPair
from proxy.models import Certificate
from tests.proxy.config.pem import EXPIRES, make_pair

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_it_knows_its_names_and_expiry():
    chain, key = make_pair("a.example.com", "*.b.example.com")
    certificate = Certificate(name="a", chain=chain, key=key)
    certificate.full_clean()
    certificate.save()
    stored = Certificate.objects.get()
    assert (stored.names, stored.expires_at) == (["a.example.com", "*.b.example.com"], EXPIRES)
    assert key not in repr(stored)


def test_a_key_that_does_not_fit():
    certificate = Certificate(name="a", chain=make_pair("a.b")[0], key=make_pair("a.b")[1])
    with pytest.raises(ValidationError) as caught:
        certificate.full_clean()
    assert set(caught.value.message_dict) == {"key"}


def test_its_key_is_sealed_in_the_database_and_opened_when_asked_for(settings):
    chain, key = make_pair("a.example.com")
    Certificate.objects.create(name="a", chain=chain, key=key)
    (sealed,) = Certificate.objects.values_list("key", flat=True)
    assert sealed.startswith("sealed:1:") and key.splitlines()[1] not in sealed
    assert Certificate.objects.defer("key").get().key == key
    row = Certificate.objects.get()
    row.refresh_from_db(fields=["edition"])
    assert row.key == key == row.as_document().key


def test_without_the_secret_it_can_be_shown_and_mended_but_not_saved(settings):
    chain, key = make_pair("a.example.com")
    Certificate.objects.create(name="a", chain=chain, key=key)
    settings.SECRET_KEY = "another-secret-than-it-was-sealed-with"
    row = Certificate.objects.get()
    assert str(row) == "a" and row.key.startswith("sealed:1:")
    with pytest.raises(ValidationError, match="another SECRET_KEY"):
        row.full_clean()
    with pytest.raises(BadPair, match="another SECRET_KEY"):
        row.save()
    row.key = key
    row.full_clean()
    row.save()
    assert Certificate.objects.get().key == key
