"""Plan."""

import pytest
from django.core.exceptions import ValidationError

from proxy.config import document
from proxy.models import Plan


def test_a_plan_is_a_document():
    assert Plan(name="gold", approval="manual").as_document() == document.Plan("gold", approval="manual")


@pytest.mark.django_db
def test_names_are_checked():
    with pytest.raises(ValidationError):
        Plan(name="Gold Plan").full_clean()
