"""The overview: what runs, what waits for somebody, what to do first."""

from __future__ import annotations

import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from msgspec.structs import astuple

from analytics import queries
from analytics.questions import CLASSES, EVERYTHING, last
from consoles.admin.certificates import WARN_DAYS, expiry
from consoles.models import AuditEntry
from consoles.ui.charts import COLOURS, NAMES, duration
from consoles.ui.menu import Entry
from consoles.ui.node import node_state, target_health
from consoles.ui.pages import Page
from proxy.config.publish import live_revision
from proxy.models import Api, App, Certificate, Credential, Plan, Policy, Route, Subscription

SHOWN = 6
RECENT_SECONDS = 300
"""What is said of "now" until the live view says it better."""
LIMITS = ("rate-limit",)


class Overview(Page):
    """Where one lands."""

    template = "admin/overview.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page; htmx asks for the node alone."""
        if self.wants_part == "node":
            return self.render("admin/overview_node.html", self._node())
        legend = [(name, NAMES.get(name, name), COLOURS[name]) for name in CLASSES if name != "1xx"]
        context = {"title": "Overview", "legend": legend}
        return self.answer({**context, **self._node(), **self._waiting(), **self._steps()})

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
        }

    def _waiting(self) -> dict[str, Any]:
        soon = timezone.now() + datetime.timedelta(days=WARN_DAYS)
        pending = Subscription.objects.filter(status="pending").select_related("app", "api", "plan")
        return {
            "live": live_revision(),
            "pending": list(pending.order_by("created_at")[:SHOWN]),
            "pending_count": pending.count(),
            "certificates": [
                (row, expiry(row))
                for row in Certificate.objects.filter(expires_at__lt=soon).order_by("expires_at")[:SHOWN]
            ],
            "recent": list(AuditEntry.objects.exclude(action="sign-in")[:SHOWN]),
        }

    def _steps(self) -> dict[str, Any]:
        """The way from nothing to a limited Api that is called with a key; each step is seen in the data."""
        routes = Route.objects.exists()
        policies = set(Policy.objects.values_list("name", flat=True).distinct())
        steps = [
            ("Add an Api", Api.objects.exists(), reverse("console:apis-create")),
            ("Give it a Route to an Upstream", routes, reverse("console:routes-create")),
            (
                "Ask callers for a key",
                "key-auth" in policies,
                reverse("console:policies-create") + "?scope=global&name=key-auth",
            ),
            (
                "Limit how often they call",
                bool(policies & set(LIMITS)),
                reverse("console:policies-create") + "?scope=global&name=rate-limit",
            ),
            (
                "Register an App and issue its key",
                Credential.objects.exists(),
                reverse("console:apps-create"),
            ),
            ("Offer a Plan", Plan.objects.exists(), reverse("console:plans-create")),
            ("Publish", live_revision() is not None, reverse("console:publish")),
        ]
        return {
            "steps": steps,
            "steps_done": all(done for _, done, _ in steps),
            "api_count": Api.objects.count(),
            "route_count": Route.objects.count(),
            "app_count": App.objects.count(),
        }


urlpatterns = [path("", Overview.as_view(), name="overview")]
menu = [Entry("", 0, "Overview", "home", "console:overview")]
