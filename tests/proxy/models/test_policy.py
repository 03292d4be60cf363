"""Policy."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from proxy.models import Api, App, Plan, Policy

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_each_scope_has_its_subject():
    subjects = {
        "api": Api.objects.create(slug="shop"),
        "plan": Plan.objects.create(name="gold"),
        "app": App.objects.create(name="mobile"),
    }
    for scope, field in (("global", None), ("api", "api"), ("plan", "plan"), ("consumer", "app")):
        policy = Policy(name="key-auth", scope=scope, **({field: subjects[field]} if field else {}))
        policy.full_clean()
        policy.save()


@pytest.mark.parametrize("scope", ["global", "plan", "consumer"])
def test_another_scopes_subject_is_refused(scope):
    policy = Policy(name="key-auth", scope=scope, api=Api.objects.create(slug="shop"))
    with pytest.raises(ValidationError):
        policy.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        policy.save()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "nonsense"),
        ("config", {"nonsense": 1}),
        ("config", []),
        ("when", "("),
        ("label", "A"),
        ("mode", "x"),
    ],
)
def test_a_bad_field_is_named(field, value):
    policy = Policy(**{"name": "key-auth", field: value})
    with pytest.raises(ValidationError) as caught:
        policy.full_clean()
    assert field in caught.value.message_dict


def test_labels_are_unique_if_given():
    Policy.objects.create(name="cors")
    Policy.objects.create(name="acl")
    Policy.objects.create(name="cors", label="a")
    with pytest.raises(ValidationError):
        Policy(name="acl", label="a").full_clean()
