"""The five steps, and which of them are done: seen in the data and in the calls, kept nowhere."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

import httpx
from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from consoles import access
from consoles.first_run.calls import Call
from consoles.models import AuditEntry, Role
from proxy.demo.services import INSTANCES, SERVICES
from proxy.models import Api, Policy, Target

PROBE_SECONDS = 0.3
OTHERS = 1
"""With so many Apis besides those of the demo an installation still counts as new."""


class Step(NamedTuple):
    """One of five."""

    name: str
    title: str
    icon: str


STEPS = (
    Step("add", "Add an Api", "plus"),
    Step("call", "Send a call", "send"),
    Step("protect", "Protect it", "lock"),
    Step("limit", "Limit it", "adjustments"),
    Step("portal", "Offer it in the portal", "world"),
)


class Shown(NamedTuple):
    """A step as the stepper shows it; no address while there is no Api."""

    step: Step
    number: int
    url: str
    done: bool
    current: bool


def url_of(step: str, api: Api | None) -> str:
    """The page of a step."""
    if step == "add":
        return reverse("console:first-run") + (f"?api={api.pk}" if api else "")
    return reverse(f"console:first-run-{step}", args=[api.pk]) if api else ""


def done(api: Api, calls: list[Call]) -> dict[str, bool]:
    """For each step whether it is done."""
    return {
        "add": api.routes.exists(),
        "call": any(call.good for call in calls),
        "protect": policy_of(api, "key-auth") is not None and any(call.good and call.app for call in calls),
        "limit": policy_of(api, "rate-limit") is not None,
        "portal": api.visibility == "public" and api.plans.exists(),
    }


def stepper(current: str, api: Api | None, standing: dict[str, bool]) -> list[Shown]:
    """All steps for the top of each page."""
    return [
        Shown(step, number, url_of(step.name, api), standing.get(step.name, False), step.name == current)
        for number, step in enumerate(STEPS, 1)
    ]


def next_of(step: str, api: Api) -> tuple[str, str]:
    """Title and address of the step after one; empty after the last."""
    names = [one.name for one in STEPS]
    later = STEPS[names.index(step) + 1 :]
    return (later[0].title, url_of(later[0].name, api)) if later else ("", "")


def policy_of(api: Api, name: str) -> Policy | None:
    """A policy of that kind that calls to the Api meet and that refuses, the nearest first."""
    places = Q(scope="global") | Q(api=api) | Q(route__api=api)
    found = list(Policy.objects.filter(places, name=name, mode="enforce").order_by("pk"))
    order = ("api", "route", "global")
    return min(found, key=lambda row: order.index(row.scope)) if found else None


def key_header(api: Api) -> str:
    """The header that the Api looks for keys in."""
    policy = policy_of(api, "key-auth")
    names = (policy.config if policy else {}).get("names") or ["x-api-key"]
    return str(names[0])


def curl(api: Api, path: str = "", key: str = "", options: str = "") -> str:
    """The command that calls the Api through this gateway."""
    url = f"{settings.TIDEGATE_PUBLIC_URL.rstrip('/')}{api.base_path.rstrip('/')}{path}"
    host = next((one for one in api.hosts if "*" not in one), "")
    headers = ([f"Host: {host}"] if host else []) + ([f"{key_header(api)}: {key}"] if key else [])
    parts = ["curl", *options.split()]
    for header in headers:
        parts += ["-H", shlex.quote(header)]
    return " ".join([*parts, shlex.quote(url)])


def sample_path(api: Api) -> str:
    """A path below the Api's that is likely to answer."""
    ports = range(settings.TIDEGATE_DEMO_PORT, settings.TIDEGATE_DEMO_PORT + len(INSTANCES))
    here = Target.objects.filter(
        upstream__routes__api=api, host__in=("127.0.0.1", "localhost"), port__in=ports
    )
    return "/items" if here.exists() else "/"


def demo_backend() -> str:
    """The address of the demo's first service if it runs here."""
    url = f"http://127.0.0.1:{settings.TIDEGATE_DEMO_PORT}"
    try:
        answer = httpx.get(f"{url}/healthz", timeout=PROBE_SECONDS, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return ""
    return url if isinstance(answer, dict) and answer.get("service") in SERVICES else ""


def is_waiting_for(user: Any) -> bool:
    """Whether the steps are still to be shown to this member after signing in."""
    membership = access.membership_of(user)
    if membership is None or membership.first_run_done or not access.may(user, Role.EDITOR):
        return False
    return bool(Api.objects.exclude(slug__in=SERVICES).count() <= OTHERS)


def begun_by(user: Any) -> Api | None:
    """The newest Api that this member has made."""
    made = AuditEntry.objects.filter(actor=user, kind="api", action=AuditEntry.Action.CREATE)
    keys = [int(pk) for pk in made.values_list("object_id", flat=True)[:50] if pk.isdigit()]
    return Api.objects.filter(pk__in=keys).order_by("-pk").first()
