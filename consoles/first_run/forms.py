"""The short forms of the steps. What they make is validated by the models, as everywhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.text import slugify

from consoles.first_run.live import keep
from proxy.models import Api, App, Plan, Policy, Route, Target, Upstream

PORTS = {"http": 80, "https": 443}
PERIODS = (("second", "a second"), ("minute", "a minute"), ("hour", "an hour"), ("day", "a day"))
ADDRESS = "Write an address as http://127.0.0.1:8100 or https://example.com."
NEW_PLAN = ""
MOST_PLANS = 50


class ShortForm(forms.Form):
    """In the look of the console; errors of models go to the fields that they come from."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        looks = {forms.CheckboxInput: "form-check-input", forms.Select: "form-select"}
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", looks.get(type(field.widget), "form-control"))

    def check(self, row: models.Model, exclude: tuple[str, ...] = (), **places: str) -> None:
        """Validate a row; `places` maps its fields to those of the form."""
        try:
            row.full_clean(exclude=exclude)
        except ValidationError as error:
            for name, found in error.error_dict.items():
                place = places.get(name) or (name if name in self.fields else None)
                self.add_error(place, [one for each in found for one in each.messages])


class ApiForm(ShortForm):
    """An Api with one Route to one Target, from three lines."""

    name = forms.CharField(label="Name", max_length=100, help_text="What people call it.")
    base_path = forms.CharField(
        label="Base path", max_length=500, help_text="The gateway takes all requests below it."
    )
    backend = forms.CharField(
        label="Backend",
        max_length=500,
        help_text="Where the requests go, without the base path: `http://host:port`, with a path if there is one.",
    )

    def clean_backend(self) -> dict[str, Any]:
        """The parts of the address."""
        try:
            parts = urlsplit(self.cleaned_data["backend"].strip())
        except ValueError:
            raise ValidationError(ADDRESS) from None
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValidationError(ADDRESS)
        if parts.username or parts.query or parts.fragment:
            raise ValidationError("Give scheme, host, port and path only.")
        try:
            port = parts.port or PORTS[parts.scheme]
        except ValueError:
            raise ValidationError("The port must be from 1 to 65535.") from None
        path = parts.path.rstrip("/") or None
        return {"protocol": parts.scheme, "host": parts.hostname, "port": port, "path": path}

    def clean(self) -> dict[str, Any]:
        """Ask the models."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if {"name", "base_path", "backend"} <= set(data):
            self._make(data["name"], data["base_path"], data["backend"])
        return data

    def _make(self, title: str, base_path: str, backend: dict[str, Any]) -> None:
        slug = slugify(title)
        if not slug:
            self.add_error("name", "The name needs a letter from a to z or a digit.")
            return
        self.api = Api(slug=slug, title=title, base_path=base_path)
        self.upstream = Upstream(name=_free(Upstream, slug), protocol=backend["protocol"])
        self.target = Target(upstream=self.upstream, host=backend["host"], port=backend["port"])
        self.route = Route(
            api=self.api,
            name=_free(Route, slug),
            upstream=self.upstream,
            strip_prefix=True,
            rewrite_path=backend["path"],
        )
        self.check(self.api, slug="name", title="name")
        if "name" not in self.errors:
            self.check(self.upstream)
            self.check(self.route, exclude=("api", "upstream"), rewrite_path="backend")
        self.check(self.target, exclude=("upstream",), host="backend", port="backend")
        taken = Api.objects.filter(base_path=base_path, hosts=[]).first()
        if taken is not None:
            self.add_error("base_path", f"The Api {taken.slug} answers there already.")

    def save(self, request: HttpRequest) -> Api:
        """Store all four; the caller holds the transaction."""
        for row in (self.upstream, self.target, self.api, self.route):
            keep(request, row)
        return self.api


def _free(model: type[Upstream] | type[Route], name: str) -> str:
    """The name, or with the first number behind it that is not taken."""
    taken = set(model.objects.filter(name__startswith=name).values_list("name", flat=True))
    return next(one for one in [name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))] if one not in taken)


class KeyForm(ShortForm):
    """Whose key."""

    app = forms.CharField(
        label="App",
        max_length=100,
        initial="first-app",
        help_text="The client program that gets the key. It is registered if there is none of this name.",
    )

    def clean_app(self) -> App:
        """The App of that name, or one that can be stored."""
        name = self.cleaned_data["app"]
        row: App = App.objects.filter(name=name).first() or App(name=name)
        if row.pk is None:
            try:
                row.full_clean()
            except ValidationError as error:
                raise ValidationError(error.messages) from None
        elif not row.active:
            raise ValidationError("This App is suspended.")
        return row


class LimitForm(ShortForm):
    """How often an App may call."""

    amount = forms.IntegerField(label="Calls", min_value=1, max_value=1_000_000_000, initial=5)
    period = forms.ChoiceField(label="In", choices=PERIODS, initial="minute")

    @property
    def config(self) -> dict[str, Any]:
        """For the policy `rate-limit`."""
        limit = {"amount": self.cleaned_data["amount"], "period": self.cleaned_data["period"]}
        return {"limits": [limit], "by": "consumer"}


class PortalForm(ShortForm):
    """What the portal says of the Api, and under which Plan Apps can subscribe to it."""

    description = forms.CharField(
        label="Description",
        required=False,
        widget=forms.Textarea({"rows": 2}),
        help_text="What it is good for.",
    )
    plan = forms.ChoiceField(label="Plan", required=False, help_text="What Apps subscribe to.")
    title = forms.CharField(label="Name of the new Plan", max_length=200, required=False, initial="Free")
    amount = forms.IntegerField(
        label="Calls a minute under it", min_value=1, max_value=1_000_000_000, required=False, initial=60
    )
    approval = forms.ChoiceField(label="Subscriptions are approved", required=False, initial="auto")
    subscription = forms.BooleanField(
        label="Only Apps with a Subscription may call",
        required=False,
        initial=True,
        help_text="Apps that have called this Api get one under the Plan, so that they can go on.",
    )

    def __init__(self, *args: Any, guarded: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.guarded = guarded
        plans = [(row.name, row.title or row.name) for row in Plan.objects.order_by("name")[:MOST_PLANS]]
        self.fields["plan"].choices = [(NEW_PLAN, "a new Plan"), *plans]  # type: ignore[attr-defined]
        self.fields["approval"].choices = Plan._meta.get_field("approval").choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A new Plan needs a name and a number."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        self.fresh: Plan | None = None
        if data.get("subscription") and not self.guarded:
            self.add_error(
                "subscription", "Nothing asks for a key yet: protect the Api first, or leave this off."
            )
        if data.get("plan") == NEW_PLAN:
            for name in ("title", "amount"):
                if name not in self.errors and not data.get(name):
                    self.add_error(name, "A new Plan needs this.")
            if not self.errors:
                self._make(data)
        return data

    def _make(self, data: dict[str, Any]) -> None:
        name = slugify(data["title"])
        if not name:
            self.add_error("title", "The name needs a letter from a to z or a digit.")
            return
        self.fresh = Plan(name=name, title=data["title"], approval=data["approval"] or "auto")
        self.check(self.fresh, name="title")

    def save_plan(self, request: HttpRequest) -> Plan:
        """The Plan that was chosen, or the new one with its limit."""
        if self.fresh is None:
            return Plan.objects.get(name=self.cleaned_data["plan"])
        keep(request, self.fresh)
        config = {"limits": [{"amount": self.cleaned_data["amount"]}]}
        keep(request, Policy(name="rate-limit", scope="plan", plan=self.fresh, config=config))
        return self.fresh
