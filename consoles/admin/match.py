"""The match tester: which Route of the draft takes a request, and why."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import path

from consoles.ui.family import Family
from consoles.ui.fields import Lines
from consoles.ui.menu import Entry
from consoles.ui.pages import Page
from consoles.ui.unpublished import signature
from proxy.config.compile import compile_document
from proxy.config.draft import draft_document
from proxy.config.problem import Problem
from proxy.config.routes import compile_route
from proxy.config.selling import SERVED
from proxy.http.path import PathError, canonical
from proxy.models import Route
from proxy.routing.explain import Verdict, explain, near_misses
from proxy.routing.literal import RouteError
from proxy.routing.table import RouteTable, RouteTableBuilder

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
MAX_VERDICTS = 20


class TestRequest(forms.Form):
    """The request to look for."""

    __test__ = False
    url = forms.CharField(
        label="Address",
        max_length=4000,
        widget=forms.TextInput(
            {
                "class": "form-control mono",
                "placeholder": "http://api.example.com/orders/7?full=1",
                "spellcheck": "false",
            }
        ),
    )
    method = forms.CharField(
        label="Method",
        max_length=40,
        initial="GET",
        widget=forms.TextInput({"class": "form-control", "list": "methods"}),
    )
    headers = forms.CharField(label="Headers", required=False, widget=Lines(2, "x-tenant: gold"))

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["headers"].widget.attrs["class"] = "form-control mono"

    def clean_method(self) -> bytes:
        """In capitals."""
        method = str(self.cleaned_data["method"]).upper()
        if not method.isascii() or not method.replace("-", "").replace("_", "").isalpha():
            raise forms.ValidationError("A method is made of letters.")
        return method.encode()

    def clean_headers(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case, and values."""
        found = []
        for line in str(self.cleaned_data["headers"]).splitlines():
            name, colon, value = line.partition(":")
            if line.strip() and not colon:
                raise forms.ValidationError(f"“{line.strip()}” must be written name: value.")
            if colon:
                found.append((name.strip().lower().encode(), value.strip().encode("utf-8", "replace")))
        return found

    def clean_url(self) -> tuple[bytes, bytes, bytes]:
        """Host, canonical path and query."""
        text = str(self.cleaned_data["url"]).strip()
        try:
            parts = urlsplit(
                text
                if "://" in text
                else f"http://localhost{text}"
                if text.startswith("/")
                else f"http://{text}"
            )
            host = (parts.hostname or "").lower().rstrip(".")
        except ValueError as error:
            raise forms.ValidationError(f"This is no address: {error}.") from None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        found = canonical(target.encode("utf-8"), allow_encoded=True)
        if isinstance(found, PathError):
            raise forms.ValidationError(f"The gateway refuses this path: {found.reason}")
        name = f"[{host}]" if ":" in host else host
        return name.encode("idna" if not name.isascii() else "ascii"), found.path, found.query


class ShownVerdict(NamedTuple):
    """A Route that looked at the request, and what came of it."""

    verdict: Verdict
    url: str


class Tested(NamedTuple):
    """What the tester found."""

    winner: str
    url: str
    why: str
    others: list[ShownVerdict]
    near: list[tuple[str, str, str]]
    """Route, its page, and what kept it."""
    allowed: list[str]
    """The methods that there is a Route for, if only the method was wrong."""
    problems: list[str]
    """Routes of the draft that cannot be compiled, and so were left out."""


def draft_table() -> tuple[RouteTable, list[str]]:
    """The routing table of the draft, and what could not be put into it; kept until the draft changes."""
    return _draft_table(signature())


@functools.lru_cache(maxsize=2)
def _draft_table(signature: str) -> tuple[RouteTable, list[str]]:
    try:
        whole = draft_document()
    except msgspec.ValidationError as error:
        return RouteTable(), [f"The draft cannot be read: {error}"]
    try:
        return RouteTable(compile_document(msgspec.structs.replace(whole, certificates=()), 0).routes), []
    except (RouteError, ValueError):
        pass
    builder, problems, order = RouteTableBuilder(), [], 0
    for api in whole.apis:
        if api.lifecycle not in SERVED:
            continue
        for route in api.routes:
            order += 1
            try:
                if route.enabled:
                    builder.add(compile_route(route, api, order))
            except (RouteError, ValueError) as error:
                problems.append(str(Problem(f"route {route.name}", "", str(error))))
    return builder.finish(), problems


def test_request(form: TestRequest) -> Tested:
    """Ask the draft's table, with the same code that routes requests."""
    host, path_, query = form.cleaned_data["url"]
    method, headers = form.cleaned_data["method"], form.cleaned_data["headers"]
    table, problems = draft_table()
    verdicts = explain(table, host, path_, method, headers, query)
    winner = next((one for one in verdicts if one.selected), None)
    near = [] if winner else near_misses(table, host, path_, method, headers, query)
    allowed = [] if winner else sorted(table.allowed_methods(host, path_, headers, query))
    names = [one.route for one in verdicts[:MAX_VERDICTS]] + [text.partition(": ")[0] for text in near]
    pages = _pages(names)
    return Tested(
        winner=winner.route if winner else "",
        url=pages.get(winner.route, "") if winner else "",
        why=winner.reason if winner else "",
        others=[
            ShownVerdict(one, pages.get(one.route, "")) for one in verdicts[:MAX_VERDICTS] if not one.selected
        ],
        near=[
            (name, pages.get(name, ""), reason) for name, _, reason in (text.partition(": ") for text in near)
        ],
        allowed=[one.decode() for one in allowed],
        problems=problems,
    )


def _pages(names: list[str]) -> dict[str, str]:
    from consoles.ui.registry import families

    family: Family = families()["routes"]
    return {
        name: family.url("detail", pk)
        for pk, name in Route.objects.filter(name__in=names).values_list("pk", "name")
    }


def tester_context(request: HttpRequest, preset: dict[str, str] | None = None) -> dict[str, Any]:
    """The form, filled from the address or a preset, and what it finds."""
    asked = "url" in request.GET
    form = TestRequest(request.GET if asked else None, initial=preset)
    context: dict[str, Any] = {"tester": form, "tested": None, "methods": METHODS}
    if asked and form.is_valid():
        context["tested"] = test_request(form)
    return context


class MatchPage(Page):
    """The tester by itself; htmx asks for the result alone."""

    template = "admin/match.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """What the address says."""
        context = {"title": "Match tester", **tester_context(request)}
        if self.wants_part == "match-result":
            return self.render("admin/match_result.html", context)
        return self.answer(context)


urlpatterns = [path("match/", MatchPage.as_view(), name="match")]
menu = [Entry("Gateway", 25, "Match tester", "test-pipe", "console:match")]
