"""Apis: the product surfaces."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.urls import URLPattern, path, reverse

from consoles.admin.selling import CONFIRMED, RequireSubscription, SellingForm, open_to_any_key
from consoles.models import Role
from consoles.ui.cells import Badge, Code, Copyable, Text
from consoles.ui.counting import count_of
from consoles.ui.family import Action, Family
from consoles.ui.fields import WordsField
from consoles.ui.forms import Group
from consoles.ui.listing import Column, Filter, objects
from consoles.ui.panels import HIDE, Facts, Related
from consoles.ui.pick_many import PickManyField
from proxy.models import Api, Plan, Route, Subscription

OPEN = Text(
    "Need no Subscription, although the Api is sold under Plans: whoever has a key, or anybody if none is "
    "asked for, may call it. "
    "“Require a Subscription” attaches the policy acl, which asks for one."
)
_COLOURS = {"published": "green", "draft": "secondary", "deprecated": "yellow", "retired": "red"}


def lifecycle(api: Api) -> Badge:
    """Where the Api is in its life."""
    return Badge(api.lifecycle, _COLOURS.get(api.lifecycle, "secondary"))


class ApiForm(SellingForm):
    """What an Api is called, where it answers, who sees it, and under which Plans it is sold."""

    sold = "plans"
    plans = PickManyField("plans", label="Plans", help_text="Apps subscribe to the Api under one of these.")
    hosts = WordsField(
        label="Hosts",
        help_text="Host names it answers on, one a line; *.example.com for all below. Empty: any host.",
        placeholder="api.example.com",
    )
    tags = WordsField(label="Tags", help_text="Words to find it by, one a line.", rows=2)

    class Meta:
        model = Api
        fields = (
            "slug",
            "title",
            "version",
            "description",
            "hosts",
            "base_path",
            "lifecycle",
            "visibility",
            "tags",
            "deprecated_at",
            "sunset_at",
            "documentation_url",
            "openapi",
        )
        labels = {
            "slug": "Name",
            "openapi": "OpenAPI document",
            "deprecated_at": "Deprecated since",
            "sunset_at": "Last day",
            "documentation_url": "Documentation page",
        }
        help_texts = {
            "slug": "Used in addresses, records and metrics: lower-case letters, digits, dot, dash.",
            "title": "What people call it in the portal.",
            "base_path": "All Routes answer below it.",
            "lifecycle": "Only published and deprecated Apis take calls.",
            "deprecated_at": "From the first moment of this day in UTC: the header Deprecation (RFC 9745).",
            "sunset_at": "It answers until the end of this day in UTC: the header Sunset (RFC 8594). Nothing "
            "happens on it by itself; to have calls answered with 410, retire the Api.",
            "documentation_url": "The address of a page with more, such as how to move on; linked in the portal.",
            "visibility": "Public ones are in the portal's catalogue for everybody.",
            "openapi": "YAML or JSON; shown in the portal.",
        }
        widgets = {
            "description": forms.Textarea({"rows": 3}),
            "deprecated_at": forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
            "sunset_at": forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
            "openapi": forms.Textarea({"rows": 8, "class": "mono", "spellcheck": "false"}),
        }

    groups = (
        Group("Api", ("slug", "title", "version", "description")),
        Group("Where it answers", ("base_path", "hosts")),
        Group("Who sees it", ("lifecycle", "visibility", "tags")),
        Group("Sold under", ("plans", CONFIRMED)),
        Group("End of life", ("deprecated_at", "sunset_at"), True, "Told to callers while it is deprecated."),
        Group("Documentation", ("documentation_url", "openapi"), folded=True),
    )


class Apis(Family):
    """All Apis."""

    model = Api
    path, noun, plural = "apis", "Api", "Apis"
    icon, section, place = "api", "Gateway", 10
    summary = "An Api is what you offer: its hosts and base path, its Routes, and its place in the portal."
    document_kind, document_name = "api", "slug"
    search = ("slug", "title", "description", "base_path")
    order = ("position", "pk")
    form = ApiForm
    columns = (
        Column("slug", "Name", link=True, sort="slug"),
        Column("title", "Title", sort="title", wide=True),
        Column("base_path", "Base path", lambda api: Code(api.base_path), sort="base_path"),
        Column("hosts", "Hosts", lambda api: api.hosts or "any", wide=True),
        Column("route_count", "Routes", sort="route_count", number=True, wide=True),
        Column("lifecycle", "State", lifecycle, sort="lifecycle"),
        Column("visibility", "Visibility", sort="visibility", wide=True),
    )
    filters = (
        Filter("lifecycle", "State", Api._meta.get_field("lifecycle").choices or ()),
        Filter("visibility", "Visibility", Api._meta.get_field("visibility").choices or ()),
        Filter("plan", "Plan", objects(lambda: Plan.objects.all(), "name"), "plans"),
    )
    panels = (
        Facts(
            "Api",
            lambda api: (
                ("Title", api.title),
                ("Version", api.version),
                ("Base path", Copyable(api.base_path)),
                ("Hosts", api.hosts or "any host"),
                ("Deprecated since", api.deprecated_at or HIDE),
                ("Last day", api.sunset_at or HIDE),
                ("Visibility", api.visibility),
                ("Callers", OPEN if open_to_any_key(api) else HIDE),
                ("Tags", api.tags),
            ),
        ),
        Facts(
            "About",
            lambda api: (
                ("Description", Text(api.description)),
                ("Documentation", api.documentation_url or HIDE),
                ("OpenAPI document", f"{len(api.openapi):,} characters" if api.openapi else None),
                ("Subscriptions", api.subscription_count),
                ("Created", api.created_at),
                ("Changed", api.updated_at),
            ),
        ),
        Related(
            "Routes",
            "routes",
            lambda api: {"api": api},
            columns=("name", "match", "methods", "upstream", "state"),
            preset=lambda api: f"api={api.pk}",
            empty="No Routes yet: calls to this Api are answered with 404.",
            more=lambda api: f"api={api.pk}",
        ),
        Related(
            "Policies of this Api",
            "policies",
            lambda api: {"api": api},
            columns=("name", "label", "mode"),
            preset=lambda api: f"scope=api&api={api.pk}",
            empty="No policies of its own; the global ones apply.",
        ),
        Related(
            "Plans",
            "plans",
            lambda api: {"apis": api},
            columns=("name", "title", "approval", "subscription_count"),
            preset=lambda api: f"apis={api.slug}",
            empty="Sold under no Plan: nobody can subscribe to it in the portal. Edit the Api to choose some.",
        ),
        Related(
            "Subscriptions",
            "subscriptions",
            lambda api: {"api": api},
            columns=("app", "plan", "status", "created_at"),
            preset=lambda api: f"api={api.pk}",
            more=lambda api: f"api={api.pk}",
            empty="No App has subscribed yet.",
        ),
    )

    def rows(self) -> QuerySet[Any]:
        """With the numbers of Routes and Subscriptions."""
        return Api.objects.annotate(
            route_count=count_of(Route, "api"), subscription_count=count_of(Subscription, "api")
        )

    def title(self, row: Api) -> str:
        """By the title people know."""
        return row.title or row.slug

    def badges(self, row: Api) -> list[Badge]:
        """Its state and version, and whether a Subscription means anything."""
        known = [lifecycle(row), Badge(row.version, "blue")]
        return [*known, Badge("needs no Subscription", "yellow")] if open_to_any_key(row) else known

    def actions(self, row: Api) -> list[Action]:
        """Straight to a new Route, and to having callers subscribe."""
        url = reverse("console:apis-subscription", args=[row.pk])
        asked = Action("Require a Subscription", url, "lock", Role.EDITOR, post={})
        return [
            *([asked] if open_to_any_key(row) else []),
            Action(
                "New Route",
                f"{reverse('console:routes-create')}?api={row.pk}",
                "plus",
                Role.EDITOR,
                style="btn-primary",
            ),
        ]

    def extra_urls(self) -> list[URLPattern]:
        """One click more."""
        view = RequireSubscription.as_view()
        return [path("apis/<int:pk>/subscription/", view, name="apis-subscription")]

    def kept(self, row: Api) -> str:
        """Its Subscriptions would end at once, while it is live, and come back with no rollback."""
        count = row.subscriptions.filter(status__in=Subscription.LIVE).count()
        who = f"{count} App{' is' if count == 1 else 's are'}"
        return f"{who} subscribed to it. Retire it, or close the Subscriptions first." if count else ""

    def impact(self, row: Api) -> list[str]:
        """What the database does not say."""
        count = row.plans.count()
        return [f"It is taken off {count} Plan{'' if count == 1 else 's'}."] if count else []
