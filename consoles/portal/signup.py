"""Signing up and in with a code that comes by e-mail, signing out, the own account."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.auth import login, logout
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from consoles import audit
from consoles.admin.account import safe_next
from consoles.models import Membership
from consoles.portal import codes
from consoles.portal.limits import CODES, TRIES, too_often
from consoles.portal.pages import REFUSED, THEME, PortalPage
from consoles.ui.forms import ObjectForm
from proxy.models import Developer

WAIT = "Too many attempts. Wait ten minutes."
_NEXT = "portal_next"
_BACKEND = "django.contrib.auth.backends.ModelBackend"


class EmailForm(forms.Form):
    """An address; the same form for new and known ones."""

    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        widget=forms.EmailInput({"class": "form-control", "autocomplete": "email"}),
    )

    def clean_email(self) -> str:
        """In lower case."""
        email = str(self.cleaned_data["email"]).strip()
        if not email.isascii():
            raise ValidationError("Enter an address in plain letters.")
        return email.lower()


class CodeForm(forms.Form):
    """The code as it came."""

    code = forms.CharField(
        label="Code",
        max_length=20,
        widget=forms.TextInput(
            {
                "class": "form-control code-input",
                "autocomplete": "one-time-code",
                "inputmode": "numeric",
                "autofocus": True,
            }
        ),
    )


class SignIn(PortalPage):
    """Asks for an address and sends a code to it. Known and unknown addresses get the same answer."""

    methods = ("GET", "POST")
    public = True
    template = "portal/sign_in.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The form; who is signed in already goes on."""
        if self.developer is not None:
            return redirect(safe_next(request, "portal:apps"))
        return self._show(EmailForm())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Send the code."""
        form = EmailForm(request.POST)
        if not form.is_valid():
            return self._show(form, REFUSED)
        email = form.cleaned_data["email"]
        if too_often(request, "codes", CODES, {"email": email}):
            return self._show(form, 429, WAIT)
        try:
            codes.send_code(request.session, email)
        except OSError:
            return self._show(form, 503, "The e-mail could not be sent. Try again in a few minutes.")
        request.session[_NEXT] = safe_next(request, "portal:apps")
        return redirect("portal:code")

    def _show(self, form: EmailForm, status: int = 200, error: str = "") -> HttpResponse:
        context = {"form": form, "error": error, "next": safe_next(self.request, "portal:apps")}
        return self.answer({"title": "Sign in or sign up", **context}, status)


@method_decorator(sensitive_post_parameters(), name="post")
class Code(PortalPage):
    """Takes the code."""

    methods = ("GET", "POST")
    public = True
    template = "portal/code.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The form, after an address was given."""
        if not codes.asked_for(request.session):
            return redirect("portal:sign-in")
        return self._show(CodeForm())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Sign in, or say that it is wrong."""
        email, form = codes.asked_for(request.session), CodeForm(request.POST)
        if not email:
            messages.error(request, "That code has ended. Ask for another one.")
            return redirect("portal:sign-in")
        if too_often(request, "tries", TRIES, {"email": email}):
            return self._show(form, 429, WAIT)
        entered = codes.try_code(request.session, form.cleaned_data["code"]) if form.is_valid() else None
        if entered is None:
            return self._show(form, REFUSED, "That is not the code. Look at the newest e-mail.")
        return self._enter(request, entered)

    def _enter(self, request: HttpRequest, entered: codes.Entered) -> HttpResponseBase:
        goes_on = request.session.pop(_NEXT, None)
        theme = request.session.get(THEME)
        user: Any = entered.developer.user
        login(request, user, backend=_BACKEND)
        if theme:
            request.session[THEME] = theme
        if entered.new:
            state = audit.state_of(entered.developer)
            audit.record(request, audit.Action.CREATE, entered.developer, after=state)
        audit.record(request, audit.Action.SIGN_IN, user)
        return redirect(goes_on or "portal:apps")

    def _show(self, form: CodeForm, status: int = 200, error: str = "") -> HttpResponse:
        context = {"form": form, "error": error, "email": codes.asked_for(self.request.session)}
        return self.answer({"title": "Enter your code", "minutes": codes.MINUTES, **context}, status)


class SignOut(PortalPage):
    """Ends the session."""

    methods = ("POST",)
    public = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """To the catalogue."""
        logout(request)
        return redirect("portal:catalogue")


class Theme(PortalPage):
    """How the portal looks in this browser."""

    methods = ("POST",)
    public = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Back to where it was chosen."""
        if request.POST.get("theme") in Membership.Theme.values:
            request.session[THEME] = request.POST["theme"]
        return redirect(safe_next(request, "portal:catalogue"))


class AccountForm(ObjectForm):
    """What a Developer may change of themselves."""

    class Meta:
        model = Developer
        fields = ("name",)
        help_texts: ClassVar = {"name": "How we address you. May be empty."}


class Account(PortalPage):
    """The own name and address."""

    methods = ("GET", "POST")
    template = "portal/account.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form."""
        return self.answer({"title": "Your account", "form": AccountForm(instance=self.me)})

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Store it."""
        before = audit.state_of(self.me)
        form = AccountForm(request.POST, instance=Developer.objects.get(pk=self.me.pk))
        if not form.is_valid():
            return self.answer({"title": "Your account", "form": form}, REFUSED)
        row = form.save()
        audit.record(request, audit.Action.UPDATE, row, before, audit.state_of(row))
        messages.success(request, "Your name is saved.")
        return redirect("portal:account")


urlpatterns = [
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-in/code/", Code.as_view(), name="code"),
    path("sign-out/", SignOut.as_view(), name="sign-out"),
    path("theme/", Theme.as_view(), name="theme"),
    path("account/", Account.as_view(), name="account"),
]
