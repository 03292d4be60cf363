"""Certificate."""

import pytest
from django.core.exceptions import ValidationError

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
