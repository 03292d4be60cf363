"""A Developer's keys: issued, rolled and revoked. A key is shown once, on the answer that made it."""

from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils import timezone

from analytics.models import RawRecord
from consoles import audit
from consoles.admin.keys import LIFETIMES, RollForm, rolled
from consoles.portal.limits import KEYS, too_often
from consoles.portal.live import PublicApi, catalogue
from consoles.portal.pages import REFUSED, PortalPage
from proxy.identity.issue import KeyRefused, issue_key, revoke_key, roll_key
from proxy.identity.keys import PepperError
from proxy.models import App, Credential

MOST_KEYS = 20
WAIT = "Too many new keys. Wait an hour."


class NewKeyForm(forms.Form):
    """What it is for, and how long it is good."""

    name = forms.CharField(
        label="What it is for",
        max_length=100,
        required=False,
        widget=forms.TextInput({"class": "form-control", "placeholder": "production"}),
    )
    days = forms.ChoiceField(
        label="Good for",
        choices=LIFETIMES,
        required=False,
        widget=forms.Select({"class": "form-select"}),
    )

    @property
    def expires_at(self) -> datetime.datetime | None:
        """As chosen."""
        days = self.cleaned_data.get("days")
        return timezone.now() + datetime.timedelta(days=int(days)) if days else None


def issue_and_show(
    page: PortalPage,
    app: App,
    name: str,
    expires_at: datetime.datetime | None,
    api: PublicApi | None = None,
) -> HttpResponse:
    """Issue a key and show it. Raises KeyRefused, PepperError."""
    with transaction.atomic():
        credential, raw = issue_key(app, name=name, expires_at=expires_at)
        audit.record(page.request, audit.Action.ISSUE, credential, after=audit.state_of(credential))
    return show_once(page, credential, raw, "", api)


def show_once(
    page: PortalPage, credential: Credential, raw: str, note: str, api: PublicApi | None = None
) -> HttpResponse:
    """The page with the key and a command that calls with it."""
    api = api or _callable(credential.app)
    context = {
        "title": "Your key",
        "credential": credential,
        "raw": raw,
        "note": note,
        "api": api,
        "curl": api.curl(raw) if api else "",
    }
    return page.render("portal/key_shown.html", context)


def _callable(app: App) -> PublicApi | None:
    """A public Api that the App may call."""
    accepted = app.subscriptions.filter(status="accepted").values_list("api__slug", flat=True)
    public = catalogue().apis
    return next((public[slug] for slug in accepted if slug in public), None)


class NewKey(PortalPage):
    """Another key for an App."""

    methods = ("GET", "POST")
    template = "portal/key_form.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The form."""
        return self._show(self.app(pk), NewKeyForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Issue and show it."""
        row, form = self.app(pk), NewKeyForm(request.POST)
        if too_often(request, "keys", KEYS, {"developer": str(self.me.pk)}):
            return self._show(row, form, 429, WAIT)
        if not form.is_valid():
            return self._show(row, form, REFUSED)
        if usable_keys(row) >= MOST_KEYS:
            return self._show(row, form, REFUSED, f"An App has {MOST_KEYS} keys at most. Revoke one first.")
        try:
            return issue_and_show(self, row, form.cleaned_data["name"], form.expires_at)
        except (KeyRefused, PepperError) as error:
            return self._show(row, form, REFUSED, str(error))

    def _show(self, row: App, form: NewKeyForm, status: int = 200, error: str = "") -> HttpResponse:
        return self.answer({"title": "New key", "row": row, "form": form, "error": error}, status)


def usable_keys(app: App) -> int:
    """How many keys are good now."""
    good = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return int(app.credentials.filter(good, kind="key", revoked_at=None).count())


class KeyStep(PortalPage):
    """What is done to one key; asked for on a page of its own."""

    methods = ("GET", "POST")

    def key(self, pk: int, lock: bool = False) -> Any:
        """One of the reader's own that is not revoked, or 404."""
        rows = self.keys().select_for_update(of=("self",)) if lock else self.keys()
        return get_object_or_404(rows, pk=pk, revoked_at=None)


class RollKey(KeyStep):
    """A new key in place of one; both are good for a while."""

    template = "portal/key_roll.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How long they overlap."""
        return self._show(self.key(pk), RollForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Issue the new one, and show it."""
        form = RollForm(request.POST)
        if too_often(request, "keys", KEYS, {"developer": str(self.me.pk)}):
            return self._show(self.key(pk), form, 429, WAIT)
        if not form.is_valid():
            return self._show(self.key(pk), form, REFUSED)
        hours = int(form.cleaned_data["overlap"])
        try:
            with transaction.atomic():
                return self._roll(request, self.key(pk, lock=True), hours)
        except (KeyRefused, PepperError) as error:
            return self._show(self.key(pk), form, REFUSED, str(error))

    def _roll(self, request: HttpRequest, row: Credential, hours: int) -> HttpResponse:
        before = audit.state_of(row)
        fresh, raw = roll_key(row, datetime.timedelta(hours=hours))
        extra: dict[str, tuple[Any, Any]] = {"replaced by": (None, str(fresh))}
        audit.record(request, audit.Action.ROLL, row, before, audit.state_of(row), extra=extra)
        audit.record(request, audit.Action.ISSUE, fresh, after=audit.state_of(fresh))
        return show_once(self, fresh, raw, rolled(row, hours))

    def _show(self, row: Credential, form: RollForm, status: int = 200, error: str = "") -> HttpResponse:
        return self.answer({"title": f"Roll {row}", "row": row, "form": form, "error": error}, status)


class RevokeKey(KeyStep):
    """The end of a key."""

    template = "portal/key_revoke.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks for the App's name."""
        return self._show(self.key(pk))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Revoke it, if that is typed."""
        with transaction.atomic():
            row = self.key(pk, lock=True)
            if request.POST.get("confirm", "").strip() != str(row.app):
                return self._show(row, REFUSED, f"Type {row.app} to confirm.")
            before = audit.state_of(row)
            revoke_key(row)
            audit.record(request, audit.Action.REVOKE, row, before, audit.state_of(row))
        messages.success(request, f"Key {row} is revoked. The gateway knows within a second.")
        return redirect("portal:app", row.app_id)

    def _show(self, row: Credential, status: int = 200, error: str = "") -> HttpResponse:
        return self.answer({"title": f"Revoke {row}", "row": row, "error": error}, status)


class FirstCall(PortalPage):
    """Whether a call with this key has been seen: the part of the key's page that turns green."""

    template = "portal/first_call.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asked for by htmx until there is one."""
        key = get_object_or_404(self.keys(), pk=pk)
        calls = RawRecord.objects.filter(app=key.app.name, credential=str(key.pk))
        return self.answer({"call": calls.order_by("time").first(), "credential": key})


urlpatterns = [
    path("apps/<int:pk>/keys/new/", NewKey.as_view(), name="key-new"),
    path("keys/<int:pk>/roll/", RollKey.as_view(), name="key-roll"),
    path("keys/<int:pk>/revoke/", RevokeKey.as_view(), name="key-revoke"),
    path("keys/<int:pk>/first-call/", FirstCall.as_view(), name="key-first-call"),
]
