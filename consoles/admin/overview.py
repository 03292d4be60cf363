"""The overview: what runs on this node, what waits for somebody, what to do first."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Exists, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from msgspec.structs import astuple

from analytics import queries
from analytics.models import Position
from analytics.questions import CLASSES, EVERYTHING, last
from consoles.admin.certificates import WARN_DAYS, expiry
from consoles.models import AuditEntry
from consoles.ui.charts import COLOURS, NAMES, duration
from consoles.ui.menu import Entry
from consoles.ui.node import ejected_targets, node_state, target_health
from consoles.ui.pages import Page
from proxy.models import Api, Certificate, Credential, Plan, Policy, Revision, Route, Subscription

SHOWN = 6
RECENT_SECONDS = 300
"""What is said of "now" until the live view says it better."""
LIMITS = ("rate-limit",)
NODE_SEEN = datetime.timedelta(days=1)
"""A node whose traffic was counted since then is there."""


class Overview(Page):
    """Where one lands."""

    template = "admin/overview.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page; htmx asks for the node alone."""
        if self.wants_part == "node":
            return self.render("admin/overview_node.html", self._node())
        legend = [(name, NAMES.get(name, name), COLOURS[name]) for name in CLASSES if name != "1xx"]
        context: dict[str, Any] = {"title": "Overview", "legend": legend}
        there = _there(request.user)
        context["pending_count"] = there["pending_count"]
        context["several_nodes"] = there["spools"] > 1
        return self.answer({**context, **self._node(), **self._waiting(), **self._steps(there)})

    def _node(self) -> dict[str, Any]:
        state, health = node_state(), target_health()
        totals = queries.totals(last(RECENT_SECONDS, EVERYTHING))
        targets = [good for targets in health.values() for good in targets.values()]
        return {
            "node": state,
            "recent_minutes": RECENT_SECONDS // 60,
            "rate": totals.count / RECENT_SECONDS,
            "failed": totals.failures / RECENT_SECONDS,
            "latency": [duration(value) for value in astuple(totals.latency)],
            "in_flight": sum(worker.in_flight for worker in state.alive),
            "connections": sum(worker.connections for worker in state.alive),
            "targets": len(targets),
            "unhealthy": [
                (upstream, [label for label, good in targets.items() if not good])
                for upstream, targets in health.items()
                if not all(targets.values())
            ],
            "ejected": len(ejected_targets()),
        }

    def _waiting(self) -> dict[str, Any]:
        soon = timezone.now() + datetime.timedelta(days=WARN_DAYS)
        pending = _pending().select_related("app", "api", "plan").order_by("created_at")
        return {
            "pending": list(pending[:SHOWN]),
            "certificates": [
                (row, expiry(row))
                for row in Certificate.objects.filter(expires_at__lt=soon).order_by("expires_at")[:SHOWN]
            ],
            "recent": list(AuditEntry.objects.exclude(action="sign-in")[:SHOWN]),
        }

    def _steps(self, there: dict[str, Any]) -> dict[str, Any]:
        """The way from nothing to a limited Api that is called with a key; each step is seen in the data."""
        policy = reverse("console:policies-create") + "?scope=global&name="
        steps = [
            ("Add an Api", there["api"], reverse("console:apis-create")),
            ("Give it a Route to an Upstream", there["route"], reverse("console:routes-create")),
            ("Ask callers for a key", there["key_auth"], f"{policy}key-auth"),
            ("Limit how often they call", there["limit"], f"{policy}rate-limit"),
            ("Register an App and issue its key", there["key"], reverse("console:apps-create")),
            ("Offer a Plan", there["plan"], reverse("console:plans-create")),
            ("Publish", there["revision"], reverse("console:publish")),
        ]
        return {"steps": steps, "steps_done": all(done for _, done, _ in steps)}


def _pending() -> QuerySet[Subscription]:
    return Subscription.objects.filter(status="pending")


def _there(user: Any) -> dict[str, Any]:
    """What there is at all, how many Subscriptions wait, and how many nodes (each has one spool) have counted
    traffic of late: in one query, that of the reader's own row."""
    kinds: dict[str, QuerySet[Any]] = {
        "api": Api.objects.all(),
        "route": Route.objects.all(),
        "key_auth": Policy.objects.filter(name="key-auth"),
        "limit": Policy.objects.filter(name__in=LIMITS),
        "key": Credential.objects.all(),
        "plan": Plan.objects.all(),
        "revision": Revision.objects.all(),
    }
    waiting = _pending().order_by().values("status").annotate(number=Count("pk")).values("number")
    recent = Position.objects.filter(updated_at__gte=timezone.now() - NODE_SEEN).order_by()
    spools = recent.annotate(all=Value(1)).values("all").annotate(number=Count("spool", distinct=True))
    exists = {name: Exists(rows) for name, rows in kinds.items()}
    own = get_user_model().objects.filter(pk=user.pk)
    counts = {
        "pending_count": Coalesce(Subquery(waiting), 0),
        "spools": Coalesce(Subquery(spools.values("number")), 0),
    }
    return own.values(**exists, **counts).get()


urlpatterns = [path("", Overview.as_view(), name="overview")]
menu = [Entry("", 0, "Overview", "home", "console:overview")]
