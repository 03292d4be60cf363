"""Gateway."""

import pytest
from django.core.exceptions import ValidationError

from proxy.models import Gateway

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_there_is_only_one():
    Gateway(limits={"body_bytes": 1}).save()
    assert Gateway.load().limits == {"body_bytes": 1}
    Gateway.load().save()
    assert Gateway.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("limits", {"x": 1}), ("limits", []), ("trusted_proxies", ["x"]), ("forwarded_header", "x")],
)
def test_a_bad_field_is_named(field, value):
    with pytest.raises(ValidationError) as caught:
        Gateway(**{field: value}).full_clean()
    assert field in caught.value.message_dict
