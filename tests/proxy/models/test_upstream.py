"""Upstream and Target."""

import pytest
from django.core.exceptions import ValidationError

from proxy.models import Target, Upstream

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_a_good_one():
    upstream = Upstream(
        name="products", health={"path": "/healthz", "interval": 5}, outlier={"failures": 0, "statuses": []}
    )
    upstream.full_clean()
    upstream.save()
    target = Target(upstream=upstream, host="::1", port=9001)
    target.full_clean()
    target.save()
    assert str(target) == "[::1]:9001"
    assert upstream.as_document(upstream.targets.all()).targets == (target.as_document(),)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "A"),
        ("protocol", "ftp"),
        ("retries", 99),
        ("health", {"path": "x"}),
        ("health", []),
        ("outlier", {"failures": -1}),
        ("outlier", {"base_seconds": 0}),
        ("outlier", {"max_percent": 101}),
        ("outlier", {"statuses": [404]}),
        ("outlier", {"seconds": 3}),
        ("tls_ca", "x"),
    ],
)
def test_a_bad_field_is_named(field, value):
    with pytest.raises(ValidationError) as caught:
        Upstream(**{"name": "products", field: value}).full_clean()
    assert field in caught.value.message_dict


@pytest.mark.parametrize(
    ("field", "value"), [("host", "a:1"), ("port", 0), ("weight", 70_000), ("zone", "Z")]
)
def test_a_bad_field_of_a_target_is_named(field, value):
    upstream = Upstream.objects.create(name="products")
    with pytest.raises(ValidationError) as caught:
        Target(**{"upstream": upstream, "host": "a", "port": 1, field: value}).full_clean()
    assert field in caught.value.message_dict


def test_an_address_is_there_once():
    upstream = Upstream.objects.create(name="products")
    Target.objects.create(upstream=upstream, host="a", port=1)
    with pytest.raises(ValidationError):
        Target(upstream=upstream, host="a", port=1).full_clean()
