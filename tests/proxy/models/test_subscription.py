"""Subscription."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from proxy.models import Api, App, IdentityRemoval, Plan, Subscription

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def subscription():
    api, plan = Api.objects.create(slug="products"), Plan.objects.create(name="gold")
    plan.apis.add(api)
    return Subscription.objects.create(app=App.objects.create(name="shop"), api=api, plan=plan)


@pytest.mark.parametrize("status", ["pending", "accepted", "paused"])
def test_an_app_has_one_live_subscription_to_an_api(subscription, status):
    second = Subscription(app=subscription.app, api=subscription.api, plan=subscription.plan, status=status)
    with pytest.raises(ValidationError, match="has a Subscription"):
        second.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        second.save()


@pytest.mark.parametrize("status", ["rejected", "closed"])
def test_what_is_over_is_in_nobodys_way(subscription, status):
    subscription.status = status
    subscription.save()
    again = Subscription(app=subscription.app, api=subscription.api, plan=subscription.plan)
    again.full_clean()
    again.save()
    assert Subscription.objects.count() == 2


def test_a_plan_is_subscribed_where_it_is_sold_and_what_is_subscribed_stays(subscription):
    subscription.plan.apis.clear()
    subscription.status = "accepted"
    subscription.full_clean()
    subscription.plan = Plan.objects.create(name="free")
    with pytest.raises(ValidationError, match="free is not sold on products"):
        subscription.full_clean()
    other = Subscription(
        app=App.objects.create(name="other"), api=subscription.api, plan=Plan.objects.get(name="gold")
    )
    with pytest.raises(ValidationError, match="gold is not sold on products"):
        other.full_clean()


def test_a_plan_in_use_is_not_deleted(subscription):
    with pytest.raises(ProtectedError):
        subscription.plan.delete()


def test_renaming_api_or_plan_has_the_nodes_read_again_and_other_edits_do_not(subscription):
    def version():
        subscription.refresh_from_db()
        return subscription.sync_version

    first = version()
    subscription.api.title = "Products"
    subscription.api.save()
    assert version() == first
    subscription.api.slug = "goods"
    subscription.api.save()
    second = version()
    assert second > first
    subscription.plan.name = "silver"
    subscription.plan.save()
    assert version() > second


@pytest.mark.parametrize("status", ["pending", "accepted", "paused"])
def test_what_apps_are_subscribed_to_keeps_its_name(subscription, status):
    """The nodes know it by its name, and hear of Subscriptions at once, but of the draft with the next publish."""
    subscription.status = status
    subscription.save()
    for row, field in ((subscription.api, "slug"), (subscription.plan, "name")):
        setattr(row, field, "other")
        with pytest.raises(ValidationError, match="its name stays") as refused:
            row.full_clean()
        assert list(refused.value.error_dict) == [field]
    subscription.status = "closed"
    subscription.save()
    subscription.api.full_clean()
    subscription.plan.full_clean()


def test_an_api_takes_its_subscriptions_with_it_and_the_nodes_hear_of_it(subscription):
    app_id = str(subscription.app.pk).encode()
    subscription.api.delete()
    assert not Subscription.objects.exists()
    assert [(row.kind, bytes(row.key)) for row in IdentityRemoval.objects.all()] == [("subscription", app_id)]
