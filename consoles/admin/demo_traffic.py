"""Demo traffic at the press of a button: a minute of good and bad calls to the demo shop."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django_ratelimit.core import is_ratelimited

from consoles.first_run import demo
from consoles.models import Role
from consoles.ui.menu import Entry
from consoles.ui.pages import Page
from proxy.demo.traffic import RATE, SECONDS, USER_AGENT

RUNS = "10/h"
"""So many runs one member may start."""


class DemoTraffic(Page):
    """The button, the run that goes on, and what it came to."""

    roles: ClassVar = {"GET": Role.VIEWER, "POST": Role.EDITOR}
    template = "admin/demo_traffic.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page; htmx asks for the run alone while it goes on."""
        if self.wants_part == "demo-run":
            return self.render("admin/demo_traffic_run.html", self._context())
        return self._show()

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Start or stop."""
        if request.POST.get("do") == "stop":
            demo.stop()
            return redirect("console:demo-traffic")
        if request.POST.get("do") != "start":
            return self._show(422)
        if obstacle := demo.obstacle():
            messages.error(request, obstacle)
        elif is_ratelimited(request, group="demo-traffic", key="user", rate=RUNS, increment=True):
            messages.error(request, "You have started many runs. Wait an hour.")
            return self._show(429)
        elif not demo.start(request.user.get_username()):
            messages.warning(request, "There is a run already. One at a time.")
        return redirect("console:demo-traffic")

    def _show(self, status: int = 200) -> HttpResponse:
        return self.answer({"title": "Demo traffic", "obstacle": demo.obstacle(), **self._context()}, status)

    def _context(self) -> dict[str, Any]:
        return {"run": demo.last_run(), "seconds": round(SECONDS), "rate": round(RATE), "agent": USER_AGENT}


urlpatterns = [path("demo-traffic/", DemoTraffic.as_view(), name="demo-traffic")]
menu = [Entry("Settings", 81, "Demo traffic", "activity-heartbeat", "console:demo-traffic")]
