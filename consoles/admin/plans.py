"""Plans: what Apps subscribe to."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from consoles.admin.selling import CONFIRMED, SellingForm
from consoles.ui.cells import Badge, Text
from consoles.ui.counting import count_of
from consoles.ui.family import Family
from consoles.ui.forms import Group
from consoles.ui.listing import Column, Filter
from consoles.ui.panels import Facts, Related
from consoles.ui.pick_many import PickManyField
from proxy.models import Plan, Policy, Subscription


class PlanForm(SellingForm):
    """Name, approval and the Apis that it is sold on; the limits are policies of the Plan."""

    sold = "apis"
    apis = PickManyField(
        "apis", label="Apis", help_text="In the portal, Apps can subscribe to this Plan on these."
    )

    class Meta:
        model = Plan
        fields = ("name", "title", "description", "approval")
        help_texts = {
            "name": "Used in records and metrics: lower-case letters, digits, dot, dash.",
            "title": "What people call it in the portal.",
            "approval": "Who decides on new Subscriptions.",
        }
        widgets = {"description": forms.Textarea({"rows": 3})}

    groups = (
        Group("", ("name", "title", "approval", "description")),
        Group("Sold on", ("apis", CONFIRMED)),
    )


def _sold_on(row: Any) -> Any:
    """On how many Apis."""
    return row.api_count or Badge("sold on no Api", "yellow")


class Plans(Family):
    """All Plans."""

    model = Plan
    path, noun, plural = "plans", "Plan", "Plans"
    icon, section, place = "packages", "Consumers", 40
    summary = "A Plan is limits and quota under one name, which Apps subscribe to."
    document_kind = "plan"
    search = ("name", "title")
    order = ("name",)
    form = PlanForm
    columns = (
        Column("name", "Name", link=True, sort="name"),
        Column("title", "Title", sort="title", wide=True),
        Column("approval", "Approval", lambda row: row.get_approval_display(), sort="approval"),
        Column("api_count", "Sold on", _sold_on, sort="api_count", number=True),
        Column("policy_count", "Policies", sort="policy_count", number=True, wide=True),
        Column("subscription_count", "Subscriptions", sort="subscription_count", number=True),
    )
    filters = (Filter("approval", "Approval", Plan._meta.get_field("approval").choices or ()),)
    panels = (
        Facts(
            "Plan",
            lambda row: (
                ("Title", row.title),
                ("Approval", row.get_approval_display()),
                ("Subscriptions", row.subscription_count),
                ("Description", Text(row.description)),
            ),
            wide=True,
        ),
        Related(
            "Sold on",
            "apis",
            lambda row: {"plans": row},
            columns=("slug", "title", "lifecycle", "visibility"),
            more=lambda row: f"plan={row.pk}",
            empty="Sold on no Api: edit the Plan to choose some. Until then nobody can subscribe to it.",
        ),
        Related(
            "Limits and other policies",
            "policies",
            lambda row: {"plan": row},
            columns=("name", "label", "mode"),
            preset=lambda row: f"scope=plan&plan={row.pk}",
            empty="No limits yet: add a rate-limit policy.",
        ),
        Related(
            "Subscriptions",
            "subscriptions",
            lambda row: {"plan": row},
            columns=("app", "api", "status", "created_at"),
            more=lambda row: f"plan={row.pk}",
            empty="No App has subscribed yet.",
        ),
    )

    def rows(self) -> QuerySet[Any]:
        """With the numbers of policies and Subscriptions."""
        return Plan.objects.annotate(
            policy_count=count_of(Policy, "plan"),
            subscription_count=count_of(Subscription, "plan"),
            api_count=count_of(Plan.apis.through, "plan"),
        )

    def badges(self, row: Plan) -> list[Badge]:
        """How it is approved, and whether it can be had."""
        approval = Badge(f"approval {row.get_approval_display()}", "blue")
        return [approval] if row.api_count else [approval, _sold_on(row)]  # type: ignore[attr-defined]
