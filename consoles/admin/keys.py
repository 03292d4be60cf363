"""API keys: issue, roll, revoke. A key is shown once, on the answer to the request that made it."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from consoles import audit
from consoles.models import Role
from consoles.ui.cells import Badge, Code
from consoles.ui.changing import REFUSED, CreatePage
from consoles.ui.family import Action, Family
from consoles.ui.forms import Group, ObjectForm
from consoles.ui.listing import Column, Filter
from consoles.ui.pages import Page
from consoles.ui.panels import Facts
from consoles.ui.registry import families, link_to
from proxy.agent.greeting import origin
from proxy.config.selling import SERVED
from proxy.identity.issue import KeyRefused, issue_key, revoke_key, roll_key
from proxy.identity.keys import PepperError
from proxy.models import Api, App, Credential, Policy

LIFETIMES = (("", "until it is revoked"), ("30", "30 days"), ("90", "90 days"), ("365", "one year"))
OVERLAPS = (
    ("0", "none: the old key ends now"),
    ("1", "1 hour"),
    ("24", "24 hours"),
    ("168", "7 days"),
    ("720", "30 days"),
)


class KeyForm(ObjectForm):
    """Whose key, what for, and how long."""

    days = forms.ChoiceField(label="Good for", choices=LIFETIMES, required=False, initial="")

    class Meta:
        model = Credential
        fields = ("app", "name")
        labels = {"name": "What it is for"}
        help_texts = {"name": "In a few words, as “checkout service in production”."}

    groups = (Group("", ("app", "name", "days")),)
    lead = "The key is made by the gateway and shown to you once, on the next page."

    def _get_validation_exclusions(self) -> set[str]:
        return {*super()._get_validation_exclusions(), "digest", "prefix", "last_four"}  # type: ignore[misc]

    @property
    def expires_at(self) -> datetime.datetime | None:
        """As chosen."""
        days = self.cleaned_data.get("days")
        return timezone.now() + datetime.timedelta(days=int(days)) if days else None


class RollForm(forms.Form):
    """How long old and new key are good beside each other."""

    overlap = forms.ChoiceField(
        label="Both keys are good for",
        choices=OVERLAPS,
        initial="24",
        widget=forms.Select({"class": "form-select"}),
        help_text="Time to put the new key into the client. The old one ends by itself after that.",
    )


def shown_once(page: Page, credential: Credential, raw: str, title: str, note: str) -> HttpResponse:
    """The page with the key; it cannot be had again."""
    base, header = example_of(credential.app)
    context = {
        "title": title,
        "credential": credential,
        "raw": raw,
        "note": note,
        "curl": f"curl -H '{header}: {raw}' {base}",
        "app_url": families()["apps"].url("detail", credential.app_id),
    }
    return page.render("admin/key_shown.html", context)


def example_of(app: App) -> tuple[str, str]:
    """An address that the App can call, and the header that keys are looked for in."""
    served = Api.objects.filter(lifecycle__in=SERVED)
    api = served.filter(subscriptions__app=app).first() or served.first()
    base = origin(settings.TIDEGATE_HOST, settings.TIDEGATE_GATEWAY_PORT) + (api.base_path if api else "/")
    places = Q(scope="global") | Q(api=api) | Q(route__api=api) if api else Q(scope="global")
    policy = Policy.objects.filter(places, name="key-auth").first()
    names = (policy.config if policy else {}).get("names") or ["x-api-key"]
    return base, str(names[0])


def rolled(row: Credential, hours: int) -> str:
    """What becomes of a key that was rolled: one that was to end before the overlap does still ends then."""
    if not hours or row.expires_at is None:
        return f"The old key {row} is revoked."
    if row.expires_at < timezone.now() + datetime.timedelta(hours=hours, minutes=-1):
        return f"The old key {row} ends when it was to end, at {row.expires_at:%Y-%m-%d %H:%M} UTC."
    return f"The old key {row} is good for {hours} more hour{'' if hours == 1 else 's'}."


class IssueKey(CreatePage):
    """A new key for an App."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Issue it, and show it."""
        form = KeyForm(request.POST)
        if not form.is_valid():
            return self.show(form, self._title(), self.family.url("list"), REFUSED)
        app, name = form.cleaned_data["app"], form.cleaned_data["name"]
        try:
            credential, raw = issue_key(app, name=name, expires_at=form.expires_at)
        except (KeyRefused, PepperError) as error:
            form.add_error(None, str(error))
            return self.show(form, self._title(), self.family.url("list"), REFUSED)
        audit.record(request, audit.Action.ISSUE, credential, after=audit.state_of(credential))
        return shown_once(self, credential, raw, f"New key for {app}", "")

    def _title(self) -> str:
        return "Issue a key"


class KeyStep(Page):
    """What is done to one key; asked for on a page of its own."""

    roles: ClassVar = {"GET": Role.EDITOR, "POST": Role.EDITOR}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Key and audit entry are stored together."""
        with transaction.atomic():
            return super().dispatch(request, *args, **kwargs)

    def key(self, pk: int, lock: bool = False) -> Credential:
        """The key, or 404."""
        rows = Credential.objects.select_related("app")
        found: Credential = get_object_or_404(rows.select_for_update(of=("self",)) if lock else rows, pk=pk)
        return found

    def ask(self, row: Credential, status: int = 200, **context: Any) -> HttpResponse:
        """The page that asks."""
        family = families()["keys"]
        return self.answer(
            {"family": family, "row": row, "back": family.url("detail", row), **context}, status
        )


class RollKey(KeyStep):
    """A new key in place of an old one."""

    template = "admin/key_roll.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How long the two overlap."""
        row = self.key(pk)
        return self.ask(row, title=f"Roll {row}", form=RollForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Issue the new one, and show it."""
        row, form = self.key(pk, lock=True), RollForm(request.POST)
        if not form.is_valid():
            return self.ask(row, REFUSED, title=f"Roll {row}", form=form)
        before, hours = audit.state_of(row), int(form.cleaned_data["overlap"])
        try:
            fresh, raw = roll_key(row, datetime.timedelta(hours=hours))
        except (KeyRefused, PepperError) as error:
            form.add_error("overlap", str(error))
            return self.ask(row, REFUSED, title=f"Roll {row}", form=form)
        audit.record(
            request,
            audit.Action.ROLL,
            row,
            before,
            audit.state_of(row),
            extra={"replaced by": (None, str(fresh))},
        )
        audit.record(request, audit.Action.ISSUE, fresh, after=audit.state_of(fresh))
        return shown_once(self, fresh, raw, f"New key in place of {row}", rolled(row, hours))


class RevokeKey(KeyStep):
    """The end of a key."""

    template = "admin/key_revoke.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks for the App's name."""
        row = self.key(pk)
        return self.ask(row, title=f"Revoke {row}")

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Revoke it, if the App's name is typed."""
        row = self.key(pk, lock=True)
        if request.POST.get("confirm", "").strip() != row.app.name:
            return self.ask(row, REFUSED, title=f"Revoke {row}", error=f"Type {row.app.name} to confirm.")
        before = audit.state_of(row)
        if revoke_key(row):
            audit.record(request, audit.Action.REVOKE, row, before, audit.state_of(row))
        messages.success(request, f"Key {row} is revoked. The gateway knows within a second.")
        return redirect(families()["keys"].url("detail", row))


def state(row: Credential) -> Badge:
    """Whether it is good."""
    if row.revoked_at is not None:
        return Badge("revoked", "red")
    if row.expires_at is None:
        return Badge("good", "green")
    if not row.usable:
        return Badge("expired", "secondary")
    soon = row.expires_at < timezone.now() + datetime.timedelta(days=14)
    return Badge("expires soon", "yellow") if soon else Badge("good", "green")


def _in_state(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    now = timezone.now()
    if value == "revoked":
        return rows.exclude(revoked_at=None)
    rows = rows.filter(revoked_at=None)
    if value == "expired":
        return rows.filter(expires_at__lte=now)
    rows = rows.filter(Q(expires_at=None) | Q(expires_at__gt=now))
    return rows.filter(expires_at__lt=now + datetime.timedelta(days=14)) if value == "soon" else rows


class Keys(Family):
    """All keys; none can be read."""

    model = Credential
    path, noun, plural = "keys", "key", "Keys"
    icon, section, place = "key", "Consumers", 20
    summary = "A key proves which App calls. It is shown once when it is issued; only a hash is kept."
    draft = False
    related = ("app",)
    search = ("prefix", "last_four", "name", "app__name", "app__title")
    order = ("-created_at", "-pk")
    form = KeyForm
    editable = deletable = False
    pages: ClassVar = {"create": IssueKey}
    columns = (
        Column("key", "Key", str, link=True, sort="prefix"),
        Column("app", "App", lambda row: link_to(row.app), sort="app__name"),
        Column("name", "For", sort="name", wide=True),
        Column("state", "State", state),
        Column("created_at", "Issued", sort="created_at", wide=True),
        Column("expires_at", "Expires", sort="expires_at", wide=True),
    )
    filters = (
        Filter(
            "state",
            "State",
            (("good", "good"), ("soon", "expires soon"), ("expired", "expired"), ("revoked", "revoked")),
            apply=_in_state,
        ),
    )
    panels = (
        Facts(
            "Key",
            lambda row: (
                ("Key", Code(str(row))),
                ("App", link_to(row.app)),
                ("What it is for", row.name),
                ("State", state(row)),
                ("Issued", row.created_at),
                ("Expires", row.expires_at or "never"),
                ("Revoked", row.revoked_at),
            ),
            wide=True,
        ),
    )

    def badges(self, row: Credential) -> list[Badge]:
        """Its state."""
        return [state(row)]

    def actions(self, row: Credential) -> list[Action]:
        """Roll and revoke while it is good."""
        if row.revoked_at is not None:
            return []
        revoke = Action(
            "Revoke",
            reverse("console:keys-revoke", args=[row.pk]),
            "key-off",
            Role.EDITOR,
            style="btn-ghost-danger",
        )
        if not row.usable:
            return [revoke]
        return [
            Action("Roll", reverse("console:keys-roll", args=[row.pk]), "rotate-clockwise", Role.EDITOR),
            revoke,
        ]

    def extra_urls(self) -> list[URLPattern]:
        """Roll and revoke."""
        return [
            path("keys/<int:pk>/roll/", RollKey.as_view(), name="keys-roll"),
            path("keys/<int:pk>/revoke/", RevokeKey.as_view(), name="keys-revoke"),
        ]
