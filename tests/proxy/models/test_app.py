"""App."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from proxy.models import App, Developer

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.mark.parametrize("name", ["a", "shop-2.test_x", "0"])
def test_good_names(name):
    App(name=name).full_clean()


@pytest.mark.parametrize("name", ["", "Shop", "-shop", ".shop", "a b", "shop\n", "ä", "x" * 101])
def test_bad_names(name):
    with pytest.raises(ValidationError) as caught:
        App(name=name).full_clean()
    assert set(caught.value.message_dict) == {"name"}


@pytest.mark.parametrize(
    "groups", ["gold", [1], {"a": 1}, [""], [" "], ["x" * 101], ["a", "a"], ["a\n"], ["a"] * 65]
)
def test_bad_groups(groups):
    with pytest.raises(ValidationError) as caught:
        App(name="shop", groups=groups).full_clean()
    assert set(caught.value.message_dict) == {"groups"}


def test_good_groups_come_back_as_they_were():
    app = App(name="shop", groups=["gold", "b e t a"])
    app.full_clean()
    app.save()
    assert App.objects.get().groups == ["gold", "b e t a"]


def test_a_name_is_given_once():
    App.objects.create(name="shop")
    with pytest.raises(IntegrityError), transaction.atomic():
        App.objects.create(name="shop")


def test_a_developer_with_apps_is_not_deleted():
    developer = Developer.objects.create(email="dev@example.org")
    App.objects.create(name="shop", developer=developer)
    with pytest.raises(ProtectedError):
        developer.delete()


def test_it_is_shown_by_title_or_name():
    assert str(App(name="shop")) == "shop"
    assert str(App(name="shop", title="The shop")) == "The shop"
