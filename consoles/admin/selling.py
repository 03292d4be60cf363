"""What is sold where: the part of a form that says it, and whether callers of an Api need a Subscription."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.html import format_html

from consoles import audit
from consoles.models import Role
from consoles.ui.forms import ObjectForm
from consoles.ui.pages import Page
from consoles.ui.registry import families
from proxy.config.selling import guarded, offered
from proxy.models import Api, Plan, Policy, Subscription
from proxy.pipeline.policy import Stage
from proxy.pipeline.registry import policies

CONFIRMED = "keep_subscriptions"
SHOWN = 5


class SellingForm(ObjectForm):
    """A form of a Plan or an Api with the other side of what is sold, in the field `sold`.

    Taking off what live Subscriptions are to is asked for twice: they stay, and nobody else can subscribe.
    """

    sold: ClassVar[str]

    def extra_fields(self) -> dict[str, forms.Field]:
        """What is sold now; and the tick, once it has been asked for."""
        if self.instance.pk:
            self.initial[self.sold] = self.instance.named_relations()[self.sold]
        return {CONFIRMED: _tick()} if self.data.get(self.add_prefix(CONFIRMED)) else {}

    def clean(self) -> dict[str, Any]:
        """Say who has subscribed to what is taken off."""
        cleaned = super().clean()
        if self.instance.pk and self.sold in cleaned and not cleaned.get(CONFIRMED):
            taken = set(self.instance.named_relations()[self.sold]) - set(cleaned[self.sold])
            told = self._subscribed(taken) if taken else ""
            if told:
                self.fields[CONFIRMED] = _tick()
                self.add_error(self.sold, told)
        return cleaned

    def _subscribed(self, taken: set[str]) -> str:
        me, other = ("plan", "api__slug") if self.sold == "apis" else ("api", "plan__name")
        live = Subscription.objects.filter(**{me: self.instance}, status__in=Subscription.LIVE).order_by()
        found = {
            name: number
            for name, number in live.values_list(other).annotate(number=Count("pk"))
            if name in taken
        }
        if not found:
            return ""
        listed = ", ".join(f"{name} ({number})" for name, number in sorted(found.items())[:SHOWN])
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return (
            f"There are live Subscriptions to what you take off: {listed}{more}. They stay as they are; "
            "nobody else can subscribe. Tick below and save again."
        )

    def save(self, commit: bool = True) -> Any:
        """The object, and what is sold. A Plan that this changes has another edition."""
        row = super().save(commit)
        before = set(row.named_relations()[self.sold])
        chosen = set(self.cleaned_data[self.sold])
        if before == chosen:
            return row
        family = families()[self.sold]
        named = family.model._default_manager.only("pk")
        getattr(row, self.sold).set(named.filter(**{f"{family.document_name}__in": chosen}))
        if self.sold == "plans":
            for plan in Plan.objects.filter(name__in=before ^ chosen):
                plan.save()
        return row


def _tick() -> forms.BooleanField:
    box = forms.CheckboxInput({"class": "form-check-input"})
    return forms.BooleanField(label="Take it off; the Subscriptions stay", required=False, widget=box)


def open_to_any_key(api: Any) -> bool:
    """Whether the Api is sold in the portal although its callers need no Subscription."""
    if not hasattr(api, "_open_to_any_key"):
        api._open_to_any_key = offered(api) and api.plans.exists() and not _guarded(api)
    return bool(api._open_to_any_key)


def _guarded(api: Api) -> bool:
    routes = {pk: [] for pk in api.routes.filter(enabled=True).values_list("pk", flat=True)}
    general = []
    for row in Policy.objects.filter(Q(scope="global") | Q(api=api) | Q(route__api=api), name="acl"):
        if row.scope != "route":
            general.append(row.as_document())
        elif row.route_id in routes:
            routes[row.route_id].append(row.as_document())
    return guarded(general, routes.values())


class RequireSubscription(Page):
    """One click: nobody calls this Api any more without a Subscription."""

    roles: ClassVar = {"POST": Role.EDITOR}

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Attach acl, and key-auth if nothing tells who calls."""
        with transaction.atomic():
            api = get_object_or_404(Api.objects.select_for_update(of=("self",)), pk=pk)
            there = Policy.objects.filter(api=api, name="acl", config__subscription=True).first()
            if there is not None:
                url = families()["policies"].url("edit", there)
                messages.warning(
                    request,
                    format_html('This Api has <a href="{}">such a policy</a> that lets some through.', url),
                )
            else:
                made = [self._attach(request, api, name) for name in _missing(api)]
                said = " and ".join(made)
                messages.success(request, f"Attached {said}. It takes effect with the next publish.")
        return redirect(reverse("console:apis-detail", args=[pk]))

    def _attach(self, request: HttpRequest, api: Api, name: str) -> str:
        config = {"subscription": True} if name == "acl" else {}
        row = Policy(name=name, scope="api", api=api, config=config)
        if Policy.objects.filter(api=api, name=name).exists():
            row.label = f"subscription.api.{api.slug}"[:100]
        row.full_clean()
        row.save()
        audit.record(request, audit.Action.CREATE, row, after=audit.state_of(row))
        return name


def _missing(api: Api) -> list[str]:
    """The policies to attach, in the order in which they run."""
    names = [name for name, kind in policies().items() if kind.stage == Stage.IDENTIFY]
    known = Policy.objects.filter(Q(scope="global") | Q(api=api), name__in=names, mode="enforce")
    return ["acl"] if known.exists() else ["key-auth", "acl"]
