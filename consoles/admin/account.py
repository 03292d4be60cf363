"""Signing in and out, the own password, the theme: pages of one's own account."""

from __future__ import annotations

import unicodedata
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_ratelimit.core import is_ratelimited

from consoles import audit
from consoles.admin.first_run import landing
from consoles.models import Membership, Role
from consoles.ui.pages import Page, local

ATTEMPTS = {"ip": "20/5m", "name": "10/5m"}
"""Signing in is tried so often at most: by one address, and for one name."""


def _name(group: str, request: HttpRequest) -> str:
    """The name as the form reads it, however it is written: else blanks around it would give more attempts."""
    return unicodedata.normalize("NFKC", request.POST.get("username", "")).strip()


def safe_next(request: HttpRequest, fallback: str) -> str:
    """Where the form says to go next, if that is on this site."""
    url = request.POST.get("next", "") or request.GET.get("next", "")
    return local(request, url) or resolve_url(fallback)


def dressed(form: forms.BaseForm) -> forms.BaseForm:
    """Django's own forms in the look of the console."""
    for field in form.fields.values():
        field.widget.attrs.setdefault("class", "form-control")
        field.help_text = ""
    return form


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class SignIn(View):
    """The one page that everybody may see."""

    http_method_names: ClassVar[list[str]] = ["get", "post", "head"]

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The form; who is signed in already goes on."""
        if request.user.is_authenticated:
            return redirect(safe_next(request, "console:overview"))
        return self._show(request, AuthenticationForm(request))

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Sign in, or say why not in words that do not tell which names exist."""
        form = AuthenticationForm(request, data=request.POST)
        if self._too_often(request):
            return self._show(
                request, AuthenticationForm(request), 429, "Too many attempts. Wait five minutes."
            )
        if not form.is_valid():
            return self._show(request, form, 422, "Name or password is wrong.")
        login(request, form.get_user())
        audit.record(request, audit.Action.SIGN_IN, form.get_user())
        wanted = safe_next(request, "console:overview")
        return redirect(landing(request.user) if wanted == reverse("console:overview") else wanted)

    def _too_often(self, request: HttpRequest) -> bool:
        found = [
            is_ratelimited(
                request,
                group=f"console-sign-in-{key}",
                key=_name if key == "name" else key,
                rate=rate,
                increment=True,
            )
            for key, rate in ATTEMPTS.items()
        ]
        return any(found)

    def _show(self, request: HttpRequest, form: Any, status: int = 200, error: str = "") -> HttpResponse:
        context = {"form": dressed(form), "error": error, "next": safe_next(request, "console:overview")}
        return render(request, "admin/sign_in.html", context, status=status)


class SignOut(View):
    """Ends the session."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """To the sign-in page."""
        logout(request)
        return redirect("console:sign-in")


@method_decorator(sensitive_post_parameters(), name="dispatch")
class Password(Page):
    """The own password."""

    roles: ClassVar = {"GET": Role.VIEWER, "POST": Role.VIEWER}
    template = "admin/password.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form."""
        return self._show(PasswordChangeForm(request.user))

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Change it; other sessions of this account end."""
        form = PasswordChangeForm(request.user, request.POST)
        if not form.is_valid():
            return self._show(form, 422)
        user = form.save()
        update_session_auth_hash(request, user)
        Membership.objects.filter(user=user).update(temporary_password=False)
        audit.record(request, audit.Action.PASSWORD, user)
        messages.success(request, "Your password is changed.")
        return redirect("console:overview")

    def _show(self, form: Any, status: int = 200) -> HttpResponse:
        dressed(form)
        form.fields["new_password1"].help_text = "At least 10 characters, not a common password."
        return self.answer({"form": form, "title": "Change password"}, status)


class Theme(Page):
    """How the console looks to oneself."""

    roles: ClassVar = {"POST": Role.VIEWER}

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Back to where it was chosen."""
        theme = request.POST.get("theme")
        if theme in Membership.Theme.values:
            Membership.objects.filter(user=request.user).update(theme=theme)
        return redirect(safe_next(request, "console:overview"))


urlpatterns = [
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-out/", SignOut.as_view(), name="sign-out"),
    path("password/", Password.as_view(), name="password"),
    path("theme/", Theme.as_view(), name="theme"),
]
