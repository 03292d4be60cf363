"""A Developer's Apps and their Subscriptions; the way from a Plan to a key."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils import timezone
from django.utils.text import slugify

from analytics.queries import top
from analytics.questions import last, only
from consoles import audit
from consoles.admin.keys import state as key_state
from consoles.admin.subscriptions import status as subscription_status
from consoles.portal.api_page import api_of
from consoles.portal.keys import issue_and_show
from consoles.portal.limits import KEYS, too_often
from consoles.portal.live import catalogue
from consoles.portal.pages import REFUSED, PortalPage
from consoles.ui.forms import ObjectForm
from proxy.identity.issue import KeyRefused
from proxy.identity.keys import PepperError
from proxy.models import Api, App, Plan, Subscription

MOST_APPS = 50
SHOWN_KEYS = 50
SHOWN_SUBSCRIPTIONS = 100
DAY = 86_400
Status = Subscription.Status


class AppForm(ObjectForm):
    """What an App is called."""

    title = forms.CharField(
        label="Name",
        max_length=100,
        help_text="What calls the Api, as “Checkout” or “Mobile app”.",
        error_messages={"required": "Give it a name."},
    )

    class Meta:
        model = App
        fields = ("title",)


class Apps(PortalPage):
    """All own Apps."""

    template = "portal/apps.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """With calls and failures of the last day."""
        now = timezone.now()
        usable = Q(credentials__revoked_at=None, credentials__kind="key") & (
            Q(credentials__expires_at=None) | Q(credentials__expires_at__gt=now)
        )
        rows = list(
            self.apps().annotate(
                good_keys=Count("credentials", usable, distinct=True),
                accepted=Count(
                    "subscriptions", Q(subscriptions__status__in=("accepted", "pending")), distinct=True
                ),
            )[:MOST_APPS]
        )
        names = [row.name for row in rows]
        groups = top(last(DAY, only(*names)), "app", count=MOST_APPS) if names else []
        calls = {group.labels[0]: group.totals for group in groups}
        shown = [(row, calls.get(row.name)) for row in rows]
        return self.answer({"title": "My Apps", "rows": shown, "full": len(rows) >= MOST_APPS})


class NewApp(PortalPage):
    """An App without a Subscription yet; most come from a Plan instead."""

    methods = ("GET", "POST")
    template = "portal/app_form.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form."""
        return self._show(AppForm())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Make it."""
        form = AppForm(request.POST)
        if not form.is_valid():
            return self._show(form, REFUSED)
        try:
            app = make_app(self, form.cleaned_data["title"])
        except TooMany as error:
            form.add_error("title", str(error))
            return self._show(form, REFUSED)
        return redirect("portal:app", app.pk)

    def _show(self, form: AppForm, status: int = 200) -> HttpResponse:
        return self.answer({"title": "New App", "form": form}, status)


class EditApp(PortalPage):
    """Another name."""

    methods = ("GET", "POST")
    template = "portal/app_form.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The form."""
        row = self.app(pk)
        return self.answer({"title": f"Rename {row}", "form": AppForm(instance=row), "row": row})

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Store it. Keys and Subscriptions stay."""
        row = self.app(pk)
        before, title = audit.state_of(row), str(row)
        form = AppForm(request.POST, instance=row)
        if not form.is_valid():
            return self.answer({"title": f"Rename {title}", "form": form, "row": row}, REFUSED)
        with transaction.atomic():
            row = form.save()
            audit.record(request, audit.Action.UPDATE, row, before, audit.state_of(row))
        return redirect("portal:app", row.pk)


class DeleteApp(PortalPage):
    """The end of an App, its keys and its Subscriptions."""

    methods = ("GET", "POST")
    template = "portal/app_delete.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks for its name."""
        row = self.app(pk)
        return self.answer({"title": f"Delete {row}", "row": row})

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Delete it, if its name is typed."""
        row = self.app(pk)
        if request.POST.get("confirm", "").strip() != str(row):
            error = f"Type {row} to confirm."
            return self.answer({"title": f"Delete {row}", "row": row, "error": error}, REFUSED)
        with transaction.atomic():
            audit.record(request, audit.Action.DELETE, row, audit.state_of(row))
            row.delete()
        messages.success(request, f"{row} is deleted. Its keys end within a second.")
        return redirect("portal:apps")


class AppPage(PortalPage):
    """One App: what it may call, and its keys."""

    template = "portal/app.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Both as tables."""
        row, public = self.app(pk), catalogue().apis
        subscriptions = self.subscriptions().filter(app=row)[:SHOWN_SUBSCRIPTIONS]
        keys = self.keys().filter(app=row)[:SHOWN_KEYS]
        return self.answer(
            {
                "title": str(row),
                "row": row,
                "subscriptions": [
                    (one, public.get(one.api.slug), subscription_status(one), one.status in Subscription.LIVE)
                    for one in subscriptions
                ],
                "keys": [(key, key_state(key)) for key in keys],
            }
        )


class Access(PortalPage):
    """From an Api and a Plan to a key: choose or name an App, and the key is there."""

    methods = ("GET", "POST")
    template = "portal/access.html"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The form."""
        return self._show(slug, request.GET.get("plan", ""), request.GET.get("app", ""))

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        """Subscribe; a new App gets its first key at once."""
        api, plan = self._chosen(slug, request.POST.get("plan", ""))
        which, title = request.POST.get("app", ""), request.POST.get("title", "").strip()
        if plan is None:
            return self._show(slug, "", which, title, {"plan": "Choose a Plan of this Api."})
        if which == "new" and too_often(request, "keys", KEYS, {"developer": str(self.me.pk)}):
            return self._show(
                slug, plan.name, which, title, {"title": "Too many new keys. Wait an hour."}, 429
            )
        try:
            with transaction.atomic():
                app, errors = self._app(which, title)
                if app is not None:
                    return self._subscribe(request, app, api, plan)
        except IntegrityError:
            errors = {"app": f"This App has a Subscription to {api.title or api.slug} already."}
        except TooMany as error:
            errors = {"title": str(error)}
        except (KeyRefused, PepperError) as error:
            errors = {"app": str(error)}
        return self._show(slug, plan.name, which, title, errors)

    def _chosen(self, slug: str, name: str) -> tuple[Api, Plan | None]:
        """Both as they are in the draft too: what is deleted there, or not sold, has no new Subscriptions."""
        api_of(slug)
        api = get_object_or_404(Api, slug=slug)
        sold = name in catalogue().plans_of(slug)
        return api, Plan.objects.filter(name=name, apis=api).first() if sold else None

    def _app(self, which: str, title: str) -> tuple[App | None, dict[str, str]]:
        if which == "new":
            form = AppForm({"title": title})
            if not form.is_valid():
                return None, {"title": " ".join(form.errors.get("title", ["Give it a name."]))}
            return make_app(self, form.cleaned_data["title"]), {}
        if not which:
            return None, {"app": "Choose an App."}
        if not (which.isascii() and which.isdigit() and len(which) < 18):
            raise Http404
        return self.app(int(which)), {}

    def _subscribe(self, request: HttpRequest, app: App, api: Api, plan: Plan) -> HttpResponseBase:
        manual = catalogue().plans[plan.name].manual or plan.approval == "manual"
        row = Subscription.objects.create(
            app=app,
            api=api,
            plan=plan,
            status=Status.PENDING if manual else Status.ACCEPTED,
            decided_at=None if manual else timezone.now(),
        )
        audit.record(request, audit.Action.CREATE, row, after=audit.state_of(row))
        what = f"{api.title or api.slug} under {plan.title or plan.name}"
        if manual:
            messages.info(
                request, f"You asked for {what}. Somebody has to approve it; it is shown here then."
            )
            return redirect("portal:app", app.pk)
        if request.POST.get("app") == "new":
            return issue_and_show(self, app, "", None, api=api_of(api.slug))
        messages.success(request, f"{app} may call {what} now, with the keys that it has.")
        return redirect("portal:app", app.pk)

    def _show(
        self,
        slug: str,
        plan: str,
        which: str,
        title: str = "",
        errors: dict[str, str] | None = None,
        status: int = 200,
    ) -> HttpResponse:
        api, plans = api_of(slug), catalogue().plans_of(slug)
        apps = list(self.apps()[:MOST_APPS])
        taken = set(
            self.subscriptions()
            .filter(api__slug=slug, status__in=Subscription.LIVE)
            .values_list("app_id", flat=True)
        )
        free = [app for app in apps if app.pk not in taken]
        if errors and status == 200:
            status = REFUSED
        context = {
            "title": f"Get access to {api.title}",
            "api": api,
            "plans": list(plans.values()),
            "plan": plan if plan in plans else next(iter(plans), ""),
            "apps": free,
            "taken": len(apps) - len(free),
            "which": which or "new",
            "app_title": title,
            "errors": errors or {},
        }
        return self.answer(context, status)


class CloseSubscription(PortalPage):
    """Giving one up."""

    methods = ("GET", "POST")
    template = "portal/subscription_close.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks once more."""
        row = get_object_or_404(self.subscriptions(), pk=pk, status__in=Subscription.LIVE)
        return self.answer({"title": f"Give up {row.api.title or row.api}", "row": row})

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Close it."""
        with transaction.atomic():
            rows = self.subscriptions().select_for_update(of=("self",))
            row: Any = get_object_or_404(rows, pk=pk, status__in=Subscription.LIVE)
            before = audit.state_of(row)
            row.status, row.decided_at = Status.CLOSED, timezone.now()
            row.save(update_fields=["status", "decided_at"])
            audit.record(request, audit.Action.UPDATE, row, before, audit.state_of(row))
        messages.success(request, f"{row.app} has given up {row.api.title or row.api}.")
        return redirect("portal:app", row.app_id)


class TooMany(ValueError):
    """There are as many already as there may be."""


def make_app(page: PortalPage, title: str) -> App:
    """A new App under a name that nobody else can have; raises TooMany."""
    if page.apps().count() >= MOST_APPS:
        raise TooMany(f"You have {MOST_APPS} Apps, which is the most there can be.")
    stem = slugify(title)[:60].strip("-_") or "app"
    with transaction.atomic():
        app: App = App.objects.create(name=f"{stem}-{secrets.token_hex(4)}", title=title, developer=page.me)
        audit.record(page.request, audit.Action.CREATE, app, after=audit.state_of(app))
    return app


urlpatterns = [
    path("apis/<str:slug>/access/", Access.as_view(), name="access"),
    path("apps/", Apps.as_view(), name="apps"),
    path("apps/new/", NewApp.as_view(), name="app-new"),
    path("apps/<int:pk>/", AppPage.as_view(), name="app"),
    path("apps/<int:pk>/edit/", EditApp.as_view(), name="app-edit"),
    path("apps/<int:pk>/delete/", DeleteApp.as_view(), name="app-delete"),
    path("subscriptions/<int:pk>/close/", CloseSubscription.as_view(), name="subscription-close"),
]
