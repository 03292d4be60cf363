"""Plan."""

import pytest
from django.core.exceptions import ValidationError

from proxy.config import document
from proxy.models import Api, Plan


def test_a_plan_is_a_document():
    assert Plan(name="gold", approval="manual").as_document() == document.Plan("gold", approval="manual")


@pytest.mark.django_db
def test_it_is_sold_on_its_apis_only():
    plan = Plan.objects.create(name="gold")
    shop, stock = (Api.objects.create(slug=slug) for slug in ("shop", "stock"))
    plan.apis.add(shop)
    assert plan.sells(shop) and not plan.sells(stock)
    assert plan.named_relations() == {"apis": ["shop"]} and Plan().named_relations() == {"apis": []}


@pytest.mark.django_db
def test_names_are_checked():
    with pytest.raises(ValidationError):
        Plan(name="Gold Plan").full_clean()
