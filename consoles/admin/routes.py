"""Routes: which requests an Api takes, and where they go."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse

from consoles.admin.match import tester_context
from consoles.models import Role
from consoles.ui.cells import Badge, Code, Link
from consoles.ui.family import Action, Family
from consoles.ui.fields import MatchesField, WordsField, match_text
from consoles.ui.forms import Group
from consoles.ui.listing import Column, Filter, objects
from consoles.ui.nested import NestedForm
from consoles.ui.panels import HIDE, Drawn, Facts, Related
from consoles.ui.registry import link_to
from proxy.config.selling import SERVED
from proxy.config.snapshot import Redirect
from proxy.models import Api, Route, Upstream


class RouteForm(NestedForm):
    """What a Route takes and what becomes of it."""

    nested = {"redirect": Redirect}
    nested_help = {
        "redirect_status": "303 turns every method into GET; 307 and 308 keep it.",
        "redirect_host": "Empty keeps the request's.",
        "redirect_path": "Empty keeps the request's.",
        "redirect_replace_prefix": "Put in place of the part that the Route matched.",
    }
    hosts = WordsField(label="Hosts", help_text="In place of the Api's, one a line.", rows=2)
    methods = WordsField(
        upper=True, label="Methods", help_text="Empty: all.", placeholder="GET\nPOST", rows=2
    )
    headers = MatchesField(
        label="Headers",
        help_text="One a line: “name: value”, “name ~ pattern”, or “name” that must be there.",
    )
    query = MatchesField(label="Query parameters", help_text="Written as headers are.")
    redirects = forms.BooleanField(
        required=False, label="Answer with a redirect", help_text="Instead of forwarding to an Upstream."
    )

    class Meta:
        model = Route
        fields = [
            "api",
            "name",
            "enabled",
            "path_kind",
            "path",
            "hosts",
            "methods",
            "headers",
            "query",
            "upstream",
            "strip_prefix",
            "rewrite_path",
            "preserve_host",
            "websocket",
            "body_bytes",
            "request_timeout",
            "first_byte_timeout",
            "allow_encoded",
        ]
        labels = {
            "path_kind": "Path is",
            "enabled": "Takes requests",
            "strip_prefix": "Take the matched prefix away",
            "rewrite_path": "Rewrite the path to",
            "preserve_host": "Keep the request's Host header",
            "websocket": "Let WebSockets through",
            "body_bytes": "Largest body",
            "allow_encoded": "Let encoded slashes through",
        }
        help_texts = {
            "name": "Used in records and metrics: lower-case letters, digits, dot, dash.",
            "path": "Below the Api's base path. A template holds {names}.",
            "path_kind": "Prefixes match whole segments: /a takes /a and /a/b, not /ab.",
            "rewrite_path": "May hold the {names} of a template. Empty keeps it.",
            "body_bytes": "Bytes; empty: as the gateway's settings say.",
            "request_timeout": "Seconds for the whole exchange; empty: no limit.",
            "first_byte_timeout": "Seconds; empty: as the Upstream says.",
        }

    groups = (
        Group("Route", ("api", "name", "enabled")),
        Group("Which requests", ("path_kind", "path", "methods", "hosts", "headers", "query")),
        Group("Where they go", ("upstream", "strip_prefix", "rewrite_path", "preserve_host")),
        Group(
            "Redirect instead",
            ("redirects", *(f"redirect_{name}" for name in Redirect.__struct_fields__)),
            folded=True,
        ),
        Group(
            "Limits and protocols",
            ("body_bytes", "request_timeout", "first_byte_timeout", "websocket", "allow_encoded"),
            folded=True,
        ),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["rewrite_path"].empty_value = None  # type: ignore[attr-defined]

    def extra_fields(self) -> dict[str, forms.Field]:
        """Whether it redirects is a field of its own."""
        self.initial["redirects"] = self.instance.redirect is not None
        return super().extra_fields()

    def nested_value(self, column: str, values: dict[str, Any]) -> Any:
        """Nothing at all unless it redirects."""
        return values if self.cleaned_data.get("redirects") else None

    def clean(self) -> dict[str, Any]:
        """One destination, not two."""
        cleaned = super().clean()
        if cleaned.get("redirects") and cleaned.get("upstream"):
            self.add_error("upstream", "A Route that redirects has no Upstream.")
        return cleaned


def match(route: Route) -> Code:
    """The whole path that it takes, in short."""
    base = "" if route.api.base_path == "/" else route.api.base_path
    if route.path_kind == "prefix":
        return Code(f"{base}{route.path.rstrip('/')}/*")
    return Code(f"~ {base}{route.path}" if route.path_kind == "regex" else f"{base}{route.path}")


def state(route: Route) -> Badge:
    """Whether it can take requests."""
    if not route.enabled:
        return Badge("disabled")
    if route.api.lifecycle not in SERVED:
        return Badge(f"Api is {route.api.lifecycle}", "yellow")
    return Badge("enabled", "green")


def destination(route: Route) -> Any:
    """The Upstream, or the redirect in short."""
    if route.redirect is not None:
        return Badge(f"redirect {route.redirect.get('status', 302)}", "purple")
    return link_to(route.upstream)


def _tester(row: Route, request: HttpRequest) -> dict[str, Any]:
    hosts = row.hosts or row.api.hosts
    host = hosts[0].replace("*", "www") if hosts else "localhost"
    base = "" if row.api.base_path == "/" else row.api.base_path
    path = row.path if row.path_kind in ("exact", "prefix") else "/"
    method = row.methods[0] if row.methods else "GET"
    headers = "\n".join(match_text(one) for one in row.headers if one.get("kind", "exact") == "exact")
    preset = {"url": f"http://{host}{base}{path}", "method": method, "headers": headers}
    return tester_context(request, preset=preset)


class Routes(Family):
    """All Routes."""

    model = Route
    path, noun, plural = "routes", "Route", "Routes"
    icon, section, place = "route", "Gateway", 20
    summary = "A Route takes the requests that match it and sends them to an Upstream."
    document_kind = "route"
    related = ("api", "upstream")
    search = ("name", "path", "api__slug", "upstream__name")
    order = ("api__position", "position", "pk")
    form = RouteForm
    columns = (
        Column("name", "Name", link=True, sort="name"),
        Column("api", "Api", lambda row: link_to(row.api), sort="api__slug"),
        Column("match", "Path", match, sort="path"),
        Column("methods", "Methods", lambda row: row.methods or "all", wide=True),
        Column("upstream", "Goes to", destination, sort="upstream__name", wide=True),
        Column("state", "State", state, sort="enabled", wide=True),
    )
    filters = (
        Filter("api", "Api", objects(lambda: Api.objects.all(), "slug")),
        Filter("upstream", "Upstream", objects(lambda: Upstream.objects.all(), "name")),
        Filter("enabled", "State", (("True", "enabled"), ("False", "disabled"))),
    )
    panels = (
        Facts(
            "Which requests",
            lambda row: (
                ("Api", link_to(row.api)),
                ("Path", Code(row.path)),
                ("Path is", row.path_kind),
                ("Methods", row.methods or "all"),
                ("Hosts", row.hosts or row.api.hosts or "any host"),
                ("Headers", [match_text(one) for one in row.headers] or HIDE),
                ("Query", [match_text(one) for one in row.query] or HIDE),
            ),
        ),
        Facts(
            "Where they go",
            lambda row: (
                ("Goes to", destination(row)),
                ("Prefix is taken away", row.strip_prefix),
                ("Path is rewritten to", Code(row.rewrite_path) if row.rewrite_path is not None else HIDE),
                ("Host header", "the request's" if row.preserve_host else "the Upstream's"),
                ("WebSockets", row.websocket),
                (
                    "Largest body",
                    f"{row.body_bytes:,} bytes" if row.body_bytes is not None else "as the gateway",
                ),
                ("Time for the whole", f"{row.request_timeout:g} s" if row.request_timeout else "no limit"),
            ),
        ),
        Drawn("Match tester", "admin/match_panel.html", _tester),
        Related(
            "Policies of this Route",
            "policies",
            lambda row: {"route": row},
            columns=("name", "label", "mode"),
            preset=lambda row: f"scope=route&route={row.pk}",
            empty="No policies of its own; those of its Api and the global ones apply.",
        ),
    )

    def badges(self, row: Route) -> list[Badge]:
        """Its state."""
        return [state(row)]

    def parent(self, row: Route) -> Link | None:
        """Its Api."""
        found: Link | None = link_to(row.api)
        return found

    def actions(self, row: Route) -> list[Action]:
        """Policies are what Routes get most."""
        url = f"{reverse('console:policies-create')}?scope=route&route={row.pk}"
        return [Action("Add policy", url, "shield-check", Role.EDITOR)]
