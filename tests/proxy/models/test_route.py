"""Route."""

import pytest
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError

from proxy.config import document
from proxy.config.snapshot import PathMatch, ValueMatch
from proxy.models import Api, Route, Upstream

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def route():
    upstream = Upstream.objects.create(name="products")
    return Route(api=Api.objects.create(slug="shop"), name="list", upstream=upstream, path="/products")


def test_a_good_one_is_a_document(route):
    route.headers = [{"name": "x-a", "kind": "present"}]
    route.full_clean()
    assert route.as_document() == document.Route(
        "list",
        PathMatch("prefix", "/products"),
        headers=(ValueMatch("x-a", kind="present"),),
        upstream="products",
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "no-slash"),
        ("path", "/a/../b"),
        ("methods", ["get"]),
        ("methods", "GET"),
        ("headers", [{"nome": "x"}]),
        ("headers", 5),
        ("query", [{"name": "a", "value": "(", "kind": "regex"}]),
        ("redirect", {"status": 200}),
        ("hosts", ["A"]),
        ("rewrite_path", "/{id}"),
        ("request_timeout", -1.0),
        ("upstream", None),
    ],
)
def test_a_bad_field_is_named(route, field, value):
    setattr(route, field, value)
    with pytest.raises(ValidationError) as caught:
        route.full_clean()
    assert field in caught.value.message_dict


def test_an_upstream_in_use_stays(route):
    route.save()
    with pytest.raises(ProtectedError):
        route.upstream.delete()
