"""What all editable objects share."""

import pytest
from django.core.exceptions import ValidationError

from proxy.models import Api, Plan

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_the_edition_rises_with_every_save():
    plan = Plan.objects.create(name="gold")
    assert plan.edition == 0
    plan.title = "Gold"
    plan.save(update_fields=["title"])
    assert Plan.objects.get() == plan and Plan.objects.get().edition == 1
    plan.save()
    assert Plan.objects.get().edition == 2


def test_problems_are_reported_by_field():
    api = Api(slug="Bad Slug", hosts=["A.com", "b.com:1"], base_path="x", tags="abc", lifecycle="odd")
    with pytest.raises(ValidationError) as caught:
        api.full_clean()
    assert set(caught.value.message_dict) == {"slug", "hosts", "base_path", "tags", "lifecycle"}
    assert caught.value.message_dict["hosts"] == [
        "hosts[0]: must be in lower case",
        "hosts[1]: must not hold a port; an IPv6 address is in brackets",
    ]
