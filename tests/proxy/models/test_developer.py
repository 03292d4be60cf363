"""Developer."""

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from proxy.models import App, Developer

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_an_address_is_registered_once():
    Developer.objects.create(email="dev@example.org")
    for same in ("dev@example.org", "Dev@Example.ORG"):
        with pytest.raises(ValidationError) as caught:
            Developer(email=same).full_clean()
        assert set(caught.value.message_dict) == {"email"}


def test_saving_has_the_nodes_read_the_apps_again():
    developer = Developer.objects.create(email="dev@example.org")
    mine = App.objects.create(name="mine", developer=developer)
    other = App.objects.create(name="other")
    versions = mine.sync_version, other.sync_version
    developer.active = False
    developer.save()
    mine.refresh_from_db()
    other.refresh_from_db()
    assert mine.sync_version > versions[1] and other.sync_version == versions[1]


def test_the_developer_outlives_the_account():
    user = get_user_model().objects.create_user("dev")
    developer = Developer.objects.create(email="dev@example.org", user=user)
    user.delete()
    developer.refresh_from_db()
    assert developer.user is None and str(developer) == "dev@example.org"
