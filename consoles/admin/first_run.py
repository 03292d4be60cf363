"""The first run: five steps from nothing to an Api in the portal. Each can be left out and come back to.

Which Api it is about is in the address, and what is done is seen in the data, so there is nothing to resume
but the address; only “do not show again” is kept, with the member.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse

from consoles import audit
from consoles.admin.selling import open_to_any_key
from consoles.first_run import calls, demo, steps, watch
from consoles.first_run.forms import NEW_PLAN, ApiForm, KeyForm, LimitForm, PortalForm, ShortForm
from consoles.first_run.live import LIVE, change, go_live, is_alone, keep, publish_draft
from consoles.models import Membership, Role
from consoles.ui.changing import REFUSED
from consoles.ui.menu import Entry
from consoles.ui.node import node_state
from consoles.ui.pages import Page, local
from consoles.ui.unpublished import signature, still_as_seen, unpublished_changes
from proxy.config.publish import PublishRefused
from proxy.identity.issue import KeyRefused, issue_key
from proxy.identity.keys import PepperError
from proxy.models import Api, App, Gateway, Plan, Policy, Subscription

SHOWN_APIS = 6
READ_AND_EDIT = {"GET": Role.VIEWER, "POST": Role.EDITOR}


class StepPage(Page):
    """A step: what all of them show."""

    step: ClassVar[str]
    roles: ClassVar = READ_AND_EDIT

    def api(self, pk: int) -> Api:
        """The Api that the steps are about, or 404."""
        return get_object_or_404(Api, pk=pk)

    def show(
        self, api: Api | None, form: ShortForm | None = None, status: int = 200, **context: Any
    ) -> HttpResponse:
        """The page with the stepper."""
        found = calls.recent(api) if api else []
        standing = steps.done(api, found) if api else {}
        next_title, next_url = steps.next_of(self.step, api) if api else ("", "")
        return self.answer(
            {
                "title": next(one.title for one in steps.STEPS if one.name == self.step),
                "api": api,
                "form": form,
                "stepper": steps.stepper(self.step, api, standing),
                "standing": standing,
                "step_done": standing.get(self.step, False),
                "next_title": next_title,
                "next_url": next_url,
                "seen": signature(),
                "calls": found,
                **context,
            },
            status,
        )

    def watching(self, api: Api, seen: watch.Watch) -> HttpResponse:
        """The part that turns green by itself, and the stepper with it."""
        found = calls.recent(api)
        next_title, next_url = steps.next_of(self.step, api)
        standing = steps.done(api, found)
        context = {
            "watch": seen,
            "api": api,
            "stepper": steps.stepper(self.step, api, standing),
            "step_done": standing[self.step],
            "next_title": next_title,
            "next_url": next_url,
        }
        return self.render("admin/first_run_watched.html", context)

    def tell(self, outcome: str) -> None:
        """Say what became of the change."""
        (messages.success if outcome == LIVE else messages.warning)(self.request, outcome)

    def refuse(self, form: ShortForm, refused: PublishRefused) -> None:
        """What keeps the draft from being published, above the form."""
        for problem in refused.problems[:5]:
            form.add_error(None, f"It cannot be published: {problem.object}: {problem.reason}")


class AddApi(StepPage):
    """Step 1, and the beginning of the way."""

    step = "add"
    template = "admin/first_run.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form, filled in with the demo's backend where it runs."""
        pk = request.GET.get("api", "")
        api = Api.objects.filter(pk=pk).first() if pk.isascii() and pk.isdigit() and len(pk) < 10 else None
        backend = steps.demo_backend()
        initial = {"name": "My first Api", "base_path": "/first", "backend": backend} if backend else {}
        if Api.objects.filter(slug="my-first-api").exists():
            initial = {"backend": backend}
        return self._show(ApiForm(initial=initial), api, backend)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Make Api, Route, Upstream and Target, all or nothing."""
        form = ApiForm(request.POST)
        if form.is_valid():
            try:
                with transaction.atomic():
                    alone = is_alone()
                    api = form.save(request)
                    outcome = go_live(request, alone, f"First steps: Api {api.slug}")
            except PublishRefused as refused:
                self.refuse(form, refused)
            except IntegrityError:
                form.add_error(
                    "name", "Somebody else has just taken this name. Look again, then send it again."
                )
            else:
                self.tell(outcome)
                return redirect(steps.url_of("call", api))
        return self._show(form, None, steps.demo_backend(), REFUSED)

    def _show(self, form: ApiForm, api: Api | None, backend: str, status: int = 200) -> HttpResponse:
        begun = steps.begun_by(self.request.user)
        others = Api.objects.order_by("position", "pk")[:SHOWN_APIS]
        return self.show(
            api,
            form,
            status,
            demo_backend=backend,
            begun=begun,
            begun_url=steps.url_of("call", begun) if begun else "",
            others=[(one, steps.url_of("call", one)) for one in others],
        )


class SendCall(StepPage):
    """Step 2: a command, and a page that notices when it was run."""

    step = "call"
    roles: ClassVar = {"GET": Role.VIEWER}
    template = "admin/first_run_call.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The command; htmx asks each second for what has come."""
        api = self.api(pk)
        seen = watch.first_call(calls.recent(api), node_state(), unpublished_changes())
        if self.wants_part == "watch":
            return self.watching(api, seen)
        given = request.GET.get("path", "").replace("\0", "")[:500]
        tail = given if given.startswith("/") else steps.sample_path(api)
        return self.show(
            api,
            watch=seen,
            tail=tail,
            curl=steps.curl(api, tail, options="-i"),
            asks_for_key=steps.policy_of(api, "key-auth") is not None,
        )


class Protect(StepPage):
    """Step 3: the Api asks for a key, and a first App gets one."""

    step = "protect"
    template = "admin/first_run_protect.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The form, or what has come since."""
        api = self.api(pk)
        if self.wants_part == "watch":
            return self.watching(api, self._watch(api))
        return self._show(api, KeyForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Attach `key-auth` unless it is there, issue a key, and show it once."""
        api, form = self.api(pk), KeyForm(request.POST)
        if form.is_valid():
            try:
                with transaction.atomic():
                    return self._protect(api, form)
            except PublishRefused as refused:
                self.refuse(form, refused)
            except (KeyRefused, PepperError, ValidationError) as error:
                form.add_error(None, str(error))
        return self._show(api, form, REFUSED)

    def _protect(self, api: Api, form: KeyForm) -> HttpResponse:
        outcome, alone = "", is_alone()
        if steps.policy_of(api, "key-auth") is None:
            policy = Policy(name="key-auth", scope="api", api=api, config={"run_on_preflight": False})
            policy.full_clean()
            keep(self.request, policy)
            outcome = go_live(self.request, alone, f"First steps: {api.slug} asks for a key")
        app: App = form.cleaned_data["app"]
        if app.pk is None:
            app.save()
            audit.record(self.request, audit.Action.CREATE, app, after=audit.state_of(app))
        credential, raw = issue_key(app, name="first steps")
        audit.record(self.request, audit.Action.ISSUE, credential, after=audit.state_of(credential))
        if outcome:
            self.tell(outcome)
        return self._show(api, KeyForm(), 200, app=app, raw=raw)

    def _watch(self, api: Api) -> watch.Watch:
        return watch.with_key(calls.recent(api), node_state(), unpublished_changes())

    def _show(
        self, api: Api, form: KeyForm, status: int = 200, *, app: App | None = None, raw: str = ""
    ) -> HttpResponse:
        tail = steps.sample_path(api)
        guarded = policy_pk = None
        if (policy := steps.policy_of(api, "key-auth")) is not None:
            guarded, policy_pk = policy, policy.pk
        return self.show(
            api,
            form,
            status,
            policy=guarded,
            policy_url=reverse("console:policies-detail", args=[policy_pk]) if policy_pk else "",
            app=app,
            raw=raw,
            bare=steps.curl(api, tail, options="-i"),
            curl=steps.curl(api, tail, raw or "YOUR-KEY", options="-i"),
            watch=self._watch(api) if guarded else None,
        )


class LimitCalls(StepPage):
    """Step 4: so many calls and no more."""

    step = "limit"
    template = "admin/first_run_limit.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The form, or the limit and what has come since."""
        api = self.api(pk)
        if self.wants_part == "watch":
            return self.watching(api, self._watch(api))
        return self._show(api, LimitForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Attach `rate-limit` unless it is there."""
        api, form = self.api(pk), LimitForm(request.POST)
        if not form.is_valid():
            return self._show(api, form, REFUSED)
        try:
            with transaction.atomic():
                alone = is_alone()
                if steps.policy_of(api, "rate-limit") is None:
                    policy = Policy(name="rate-limit", scope="api", api=api, config=form.config)
                    policy.full_clean()
                    keep(request, policy)
                outcome = go_live(request, alone, f"First steps: {api.slug} is limited")
        except PublishRefused as refused:
            self.refuse(form, refused)
            return self._show(api, form, REFUSED)
        self.tell(outcome)
        return redirect(steps.url_of("limit", api))

    def _watch(self, api: Api) -> watch.Watch:
        return watch.limited(calls.recent(api), node_state(), unpublished_changes())

    def _show(self, api: Api, form: LimitForm, status: int = 200) -> HttpResponse:
        policy = steps.policy_of(api, "rate-limit")
        limits = (policy.config.get("limits") or [{}]) if policy else []
        amount = next((one.get("amount", 100) for one in limits), 0)
        guarded = steps.policy_of(api, "key-auth") is not None
        options = "-s -o /dev/null -w %{http_code}\\n"
        once = steps.curl(api, steps.sample_path(api), "YOUR-KEY" if guarded else "", "-i")
        return self.show(
            api,
            form,
            status,
            policy=policy,
            policy_url=reverse("console:policies-edit", args=[policy.pk]) if policy else "",
            limits=[_words(one) for one in limits],
            guarded=guarded,
            curl=watch.loop_of(once, amount, options),
            watch=self._watch(api) if policy else None,
        )


class OfferInPortal(StepPage):
    """Step 5: the Api is public, and there is a Plan to subscribe to."""

    step = "portal"
    template = "admin/first_run_portal.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The form, or where it is to be seen."""
        api = self.api(pk)
        plan = Plan.objects.filter(approval="auto").order_by("name").first()
        guarded = steps.policy_of(api, "key-auth") is not None
        initial = {"description": api.description, "plan": plan.name if plan else NEW_PLAN}
        return self._show(api, PortalForm(initial={**initial, "subscription": guarded}, guarded=guarded))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Make it public, with a Plan."""
        api = self.api(pk)
        form = PortalForm(request.POST, guarded=steps.policy_of(api, "key-auth") is not None)
        if not form.is_valid():
            return self._show(api, form, REFUSED)
        try:
            with transaction.atomic():
                alone = is_alone()
                self._offer(api, form)
                outcome = go_live(request, alone, f"First steps: {api.slug} is in the portal")
        except PublishRefused as refused:
            self.refuse(form, refused)
            return self._show(api, form, REFUSED)
        except ValidationError as error:
            form.add_error("description", error.messages)
            return self._show(api, form, REFUSED)
        self.tell(outcome)
        return redirect(steps.url_of("portal", api))

    def _offer(self, api: Api, form: PortalForm) -> None:
        plan = form.save_plan(self.request)
        values = {"visibility": "public", "description": form.cleaned_data["description"]}
        change(self.request, api, **values)
        self._sell(api, plan)
        if form.cleaned_data["subscription"] and open_to_any_key(api):
            self._subscribe_callers(api, plan)
            label = f"subscription.api.{api.slug}"[:100] if steps.policy_of(api, "acl") else ""
            policy = Policy(name="acl", label=label, scope="api", api=api, config={"subscription": True})
            policy.full_clean()
            keep(self.request, policy)

    def _sell(self, api: Api, plan: Plan) -> None:
        before = audit.state_of(plan)
        plan.apis.add(api)
        plan.save()
        audit.record(self.request, audit.Action.UPDATE, plan, before, audit.state_of(plan))

    def _subscribe_callers(self, api: Api, plan: Plan) -> None:
        """Whoever has called up to now goes on."""
        names = {call.app for call in calls.recent(api) if call.app}
        for app in App.objects.filter(name__in=names).exclude(subscriptions__api=api):
            row = Subscription.objects.create(app=app, api=api, plan=plan, status="accepted")
            audit.record(self.request, audit.Action.CREATE, row, after=audit.state_of(row))

    def _show(self, api: Api, form: PortalForm, status: int = 200) -> HttpResponse:
        return self.show(
            api,
            form,
            status,
            public=status == 200 and api.visibility == "public" and api.plans.exists(),
            plans=list(Plan.objects.filter(apis=api).order_by("name")[:SHOWN_APIS]),
            portal_url=reverse("portal:api", args=[api.slug]),
            guarded=steps.policy_of(api, "key-auth") is not None,
            demo_obstacle=demo.obstacle(),
        )


class PublishStep(Page):
    """Publishes from within the steps, and leads back."""

    roles: ClassVar = {"POST": Role.PUBLISHER}

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """If the draft is still the one that was looked at."""
        back = local(request, request.POST.get("next", "")) or reverse("console:first-run")
        try:
            with transaction.atomic():
                Gateway.lock()
                if not still_as_seen(request):
                    return redirect(back)
                publish_draft(request, "First steps")
        except PublishRefused:
            return redirect("console:publish")
        messages.success(request, LIVE)
        return redirect(back)


class FinishFirstRun(Page):
    """“Do not show this again.”"""

    roles: ClassVar = {"POST": Role.VIEWER}

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """From now on one lands on the overview."""
        Membership.objects.filter(user=request.user).update(first_run_done=True)
        messages.success(request, "The first steps stay in the menu under Settings.")
        return redirect("console:overview")


def _words(limit: dict[str, Any]) -> str:
    every, period = limit.get("every", 1), limit.get("period", "minute")
    return f"{limit.get('amount', 100):,} calls in " + (
        f"one {period}" if every == 1 else f"{every} {period}s"
    )


def landing(user: Any) -> str:
    """Where a member lands after signing in: at the first step that is not done, or on the overview."""
    if not steps.is_waiting_for(user):
        return reverse("console:overview")
    api = steps.begun_by(user)
    if api is None:
        return reverse("console:first-run")
    standing = steps.done(api, calls.recent(api))
    left = next((name for name, done in standing.items() if not done), None)
    return steps.url_of(left, api) if left else reverse("console:overview")


urlpatterns = [
    path("first-run/", AddApi.as_view(), name="first-run"),
    path("first-run/publish/", PublishStep.as_view(), name="first-run-publish"),
    path("first-run/done/", FinishFirstRun.as_view(), name="first-run-done"),
    path("first-run/<int:pk>/call/", SendCall.as_view(), name="first-run-call"),
    path("first-run/<int:pk>/protect/", Protect.as_view(), name="first-run-protect"),
    path("first-run/<int:pk>/limit/", LimitCalls.as_view(), name="first-run-limit"),
    path("first-run/<int:pk>/portal/", OfferInPortal.as_view(), name="first-run-portal"),
]
menu = [Entry("Settings", 80, "First steps", "rocket", "console:first-run")]
