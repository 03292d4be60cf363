"""App."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from proxy.models import App, Developer, Policy

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


@pytest.mark.django_db
def test_an_app_with_policies_of_its_own_keeps_its_name():
    app = App.objects.create(name="shop")
    policy = Policy.objects.create(name="rate-limit", scope="consumer", app=app)
    app.name = "store"
    with pytest.raises(ValidationError, match="its name stays"):
        app.full_clean()
    policy.delete()
    app.full_clean()


def test_a_developer_with_apps_is_not_deleted():
    developer = Developer.objects.create(email="dev@example.org")
    App.objects.create(name="shop", developer=developer)
    with pytest.raises(ProtectedError):
        developer.delete()


def test_it_is_shown_by_title_or_name():
    assert str(App(name="shop")) == "shop"
    assert str(App(name="shop", title="The shop")) == "The shop"
