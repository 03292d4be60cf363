"""Subscriptions: which App may use which Api under which Plan, and who waits for a yes."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from consoles import audit
from consoles.models import Role
from consoles.ui.cells import Badge
from consoles.ui.family import Action, Family
from consoles.ui.forms import Group, ObjectForm
from consoles.ui.listing import Column, Filter, objects
from consoles.ui.pages import Page
from consoles.ui.panels import Facts
from consoles.ui.registry import families, link_to
from proxy.models import Api, Plan, Subscription

Status = Subscription.Status
_COLOURS: dict[str, Any] = {
    "pending": "yellow",
    "accepted": "green",
    "rejected": "red",
    "paused": "orange",
    "closed": "secondary",
}
DECISIONS = {
    "approve": (Status.ACCEPTED, {Status.PENDING}, audit.Action.APPROVE, "approved"),
    "reject": (Status.REJECTED, {Status.PENDING}, audit.Action.REJECT, "rejected"),
    "pause": (Status.PAUSED, {Status.ACCEPTED}, audit.Action.UPDATE, "paused"),
    "resume": (Status.ACCEPTED, {Status.PAUSED}, audit.Action.UPDATE, "resumed"),
    "close": (Status.CLOSED, {Status.ACCEPTED, Status.PAUSED}, audit.Action.UPDATE, "closed"),
}
"""What it becomes, what it must be now, how the audit calls it, and the word for people."""


class SubscriptionForm(ObjectForm):
    """Who uses what under which Plan."""

    class Meta:
        model = Subscription
        fields = ("app", "api", "plan", "status")
        help_texts = {"status": "Only accepted ones count at the gateway."}

    groups = (Group("", ("app", "api", "plan", "status")),)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            del self.fields["app"], self.fields["api"]
        elif "status" not in self.initial or not self.instance.pk:
            self.initial["status"] = Status.ACCEPTED
            self._offer_plans_of(str(self.initial.get("api", "")))

    def _offer_plans_of(self, api: str) -> None:
        """An Api that is given has its own Plans."""
        field = self.fields["plan"]
        if api.isascii() and api.isdigit() and len(api) < 19 and isinstance(field, forms.ModelChoiceField):
            field.queryset = Plan.objects.filter(apis=int(api))
            field.help_text = field.help_text or "Those that are sold on this Api."

    def save(self, commit: bool = True) -> Any:
        """Whoever sets a status decides."""
        if "status" in self.changed_data or not self.instance.pk:
            self.instance.decided_at = None if self.instance.status == Status.PENDING else timezone.now()
        return super().save(commit)


class Decide(Page):
    """One step in the life of a Subscription."""

    roles: ClassVar = {"POST": Role.EDITOR}

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Take the step if the Subscription is where it begins; two who decide at once do not both."""
        status, allowed, action, word = DECISIONS.get(request.POST.get("decision", ""), (None, set(), "", ""))
        if status is None:
            raise Http404
        try:
            with transaction.atomic():
                row = Subscription.objects.select_for_update().filter(pk=pk).first()
                if row is None:
                    raise Http404
                if row.status not in allowed:
                    messages.error(request, f"Nothing was done: the Subscription is {row.status} by now.")
                    return redirect(self._back(request, pk))
                before = audit.state_of(row)
                row.status, row.decided_at = status, timezone.now()
                row.save(update_fields=["status", "decided_at"])
                audit.record(request, action, row, before, audit.state_of(row))
        except IntegrityError:
            messages.error(request, "The App has another live Subscription to this Api.")
        else:
            messages.success(request, f"Subscription {word}. The gateway knows within a second.")
        return redirect(self._back(request, pk))

    def _back(self, request: HttpRequest, pk: int) -> str:
        if request.POST.get("next") == "overview":
            return reverse("console:overview")
        return families()["subscriptions"].url("detail", pk)


def status(row: Subscription) -> Badge:
    """Its status."""
    return Badge(row.status, _COLOURS.get(row.status, "secondary"))


class Subscriptions(Family):
    """All Subscriptions."""

    model = Subscription
    path, noun, plural = "subscriptions", "Subscription", "Subscriptions"
    icon, section, place = "checklist", "Consumers", 30
    summary = "A Subscription lets an App use an Api under a Plan. Those of Plans with approval wait here for a yes."
    draft = False
    related = ("app", "api", "plan")
    search = ("app__name", "api__slug", "plan__name")
    order = ("-created_at", "-pk")
    form = SubscriptionForm
    columns = (
        Column("id", "Nr.", lambda row: f"#{row.pk}", link=True, sort="pk"),
        Column("app", "App", lambda row: link_to(row.app), sort="app__name"),
        Column("api", "Api", lambda row: link_to(row.api), sort="api__slug"),
        Column("plan", "Plan", lambda row: link_to(row.plan), sort="plan__name", wide=True),
        Column("status", "Status", status, sort="status"),
        Column("created_at", "Asked for", sort="created_at", wide=True),
    )
    filters = (
        Filter("status", "Status", Status.choices),
        Filter("api", "Api", objects(lambda: Api.objects.all(), "slug")),
        Filter("plan", "Plan", objects(lambda: Plan.objects.all(), "name")),
    )
    panels = (
        Facts(
            "Subscription",
            lambda row: (
                ("App", link_to(row.app)),
                ("Api", link_to(row.api)),
                ("Plan", link_to(row.plan)),
                ("Status", status(row)),
                ("Asked for", row.created_at),
                ("Decided", row.decided_at),
            ),
            wide=True,
        ),
    )

    def rows(self) -> QuerySet[Any]:
        """With what it joins."""
        return Subscription.objects.select_related("app", "api", "plan")

    def name(self, row: Subscription) -> str:
        """By its number."""
        return f"#{row.pk}"

    def title(self, row: Subscription) -> str:
        """Who uses what."""
        return f"{row.app} uses {row.api}"

    def badges(self, row: Subscription) -> list[Badge]:
        """Its status."""
        return [status(row)]

    def actions(self, row: Subscription) -> list[Action]:
        """The steps that it can take now."""
        looks = {
            "approve": ("check", "btn-success"),
            "reject": ("ban", ""),
            "pause": ("player-pause", ""),
            "resume": ("check", "btn-success"),
            "close": ("x", ""),
        }
        url = reverse("console:subscriptions-decide", args=[row.pk])
        return [
            Action(
                name.capitalize(),
                url,
                looks[name][0],
                Role.EDITOR,
                post={"decision": name},
                style=looks[name][1],
            )
            for name, (_, allowed, _, _) in DECISIONS.items()
            if row.status in allowed
        ]

    def extra_urls(self) -> list[URLPattern]:
        """The steps."""
        return [path("subscriptions/<int:pk>/decide/", Decide.as_view(), name="subscriptions-decide")]
