"""Policies: the catalogue, and a form made of each policy's own Config."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path, reverse

from consoles.models import Role
from consoles.ui.cells import Badge, Code, Link
from consoles.ui.changing import CreatePage
from consoles.ui.family import Family, Switch
from consoles.ui.fields import Lines
from consoles.ui.forms import Group, ObjectForm
from consoles.ui.listing import Column, Filter
from consoles.ui.nested import NestedForm
from consoles.ui.pages import Page
from consoles.ui.panels import Drawn, Facts
from consoles.ui.registry import link_to
from proxy.config.yaml_text import BadYaml, Parsed, dump
from proxy.models import Policy
from proxy.models.policy import SUBJECTS
from proxy.pipeline import policy as pipeline
from proxy.pipeline.registry import policies

SCOPE_LABELS = {
    "global": "Every request",
    "api": "One Api",
    "route": "One Route",
    "plan": "One Plan",
    "consumer": "One App",
}
SUBJECT_LABELS = {"api": "Api", "route": "Route", "plan": "Plan", "app": "App"}


def card(kind: type[pipeline.Policy]) -> str:
    """The first line of its docstring."""
    return inspect.getdoc(kind).split("\n")[0] if inspect.getdoc(kind) else ""  # type: ignore[union-attr]


def manual(kind: type[pipeline.Policy]) -> str:
    """The rest of its docstring, each paragraph on one line."""
    paragraphs = (inspect.getdoc(kind) or "").split("\n\n")[1:]
    return "\n\n".join(" ".join(part.split()) for part in paragraphs)


def _dumped(config: dict[str, Any] | None) -> str:
    """The config as YAML, nothing if all is default."""
    return dump(config) if config else ""


class PolicyForm(NestedForm):
    """Where a policy is attached and its config; made for one kind of policy and one scope by `form_for`."""

    aside = "admin/policy_aside.html"
    kind: ClassVar[type[pipeline.Policy]]
    scope: ClassVar[str]
    show_as: ClassVar[str] = "form"
    unread: Sequence[str] = ()

    class Meta:
        model = Policy
        fields = ("scope", "api", "route", "plan", "app", "label", "mode", "when", "position")
        widgets = {
            "scope": forms.HiddenInput(),
            "when": forms.TextInput(
                {"class": "mono", "placeholder": 'request.method == "POST"', "spellcheck": "false"}
            ),
        }
        labels = {"when": "Only when", "app": "App", "position": "Order"}
        help_texts = {
            "label": "Tells several of a kind apart; counters are kept by it.",
            "mode": "Observe lets everything through and only records what it would have done.",
            "when": "A condition in CEL; empty: always.",
            "position": "Among policies of this kind: lower numbers run first.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.instance.name = self.kind_name = self.kind.name  # templates would call the class
        self.lead = card(self.kind)

    def extra_fields(self) -> dict[str, forms.Field]:
        """The subject of this scope alone, and the config as fields or as YAML."""
        subject = SUBJECTS[self.scope]
        for name in SUBJECT_LABELS:
            if name != subject:
                del self.fields[name]
        if subject:
            self.fields[subject].required = True
        self.initial["scope"] = self.scope
        if self.show_as == "yaml":
            text = _dumped(self.instance.config)
            return {
                "config_yaml": forms.CharField(label="Config", required=False, initial=text, widget=Lines(14))
            }
        return super().extra_fields()

    def shown_groups(self) -> Any:
        """The config first: it is what one comes for."""
        names = [name for name in self.fields if name.startswith("config_")]
        self.groups = (
            Group("Config", names),
            Group("Where and how", (*SUBJECT_LABELS, "mode", "label", "when", "position")),
        )
        return super().shown_groups()

    def clean_scope(self) -> str:
        """The scope is what the page was made for."""
        return self.scope

    def _collect(self, column: str, kind: type[msgspec.Struct]) -> None:
        if self.show_as == "form":
            self.unread = [name for name in self._nested_names(column) if self._is_unread(name)]
            super()._collect(column, kind)
            return
        try:
            found = Parsed(self.cleaned_data.get("config_yaml", "")).data
        except BadYaml as error:
            self.add_error(
                "config_yaml", f"Line {error.line}: {error.reason}" if error.line else error.reason
            )
            return
        if found is not None and not isinstance(found, dict):
            self.add_error("config_yaml", "Must be a mapping: name: value, one a line.")
            return
        self.instance.config = found or {}

    def _is_unread(self, name: str) -> bool:
        """Something was written there that the config does not have: it is wrong, or somebody else changed it."""
        return any(error.code != "required" for error in self.errors.as_data().get(name, ()))

    def home_of(self, name: str, text: str) -> tuple[str, str]:
        """As YAML there is but one field."""
        if name == "config" and self.show_as == "yaml":
            return "config_yaml", text
        return super().home_of(name, text)

    def page_context(self) -> dict[str, Any]:
        """For the box beside the form, and the switch between form and YAML."""
        return {
            "manual": manual(self.kind),
            "yaml": ""
            if self.show_as == "yaml"
            else dump(self.instance.config or {})
            if self.instance.config
            else "",
            "preview_url": reverse("console:policies-preview"),
        }

    @property
    def buttons(self) -> str:
        """The template of the switch."""
        return "admin/policy_switch.html"


def form_for(kind: type[pipeline.Policy], scope: str, show_as: str) -> type[PolicyForm]:
    """The form class for one kind of policy at one scope."""
    body = {
        "kind": kind,
        "scope": scope,
        "show_as": show_as,
        "nested": {"config": kind.Config},
        "__module__": __name__,
    }
    return type("PolicyForm", (PolicyForm,), body)


def wanted(row: Policy | None, data: Any) -> tuple[type[pipeline.Policy] | None, str, str]:
    """Kind, scope and form or YAML, as stored or as the address or form says."""
    name = row.name if row else data.get("name", "")
    scope = row.scope if row else data.get("scope", "global")
    show_as = data.get("as", "form")
    return (
        policies().get(name),
        scope if scope in SUBJECTS else "global",
        "yaml" if show_as == "yaml" else "form",
    )


class ChoosePolicy(CreatePage):
    """The catalogue first, then the form of what was chosen."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The catalogue unless the address names a policy."""
        kind, scope, _ = wanted(None, request.GET)
        if kind is not None:
            return super().get(request)
        query = request.GET.copy()
        query["scope"] = scope
        query.pop("name", None)
        context = {
            "family": self.family,
            "title": "Add a policy",
            "kinds": [
                {
                    "name": one.name,
                    "card": card(one),
                    "stage": one.stage.name.lower().replace("_", " "),
                    "query": f"name={one.name}&{query.urlencode()}",
                }
                for one in policies().values()
            ],
            "scopes": [
                {"label": label, "url": f"?scope={value}", "current": value == scope}
                for value, label in SCOPE_LABELS.items()
            ],
            "back": self.family.url("list"),
        }
        return self.render("admin/policy_catalogue.html", context)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """As any; without a known policy back to the catalogue."""
        if wanted(None, request.POST)[0] is None:
            return self.get(request)
        return super().post(request)

    def _title(self) -> str:
        kind, scope, _ = wanted(None, self.request.POST or self.request.GET)
        return f"New {kind.name} for {SCOPE_LABELS[scope].lower()}" if kind else "Add a policy"


class Preview(Page):
    """The YAML of a policy form as it stands, for the box beside it; stores nothing."""

    roles: ClassVar = {"POST": Role.EDITOR}

    def post(self, request: HttpRequest) -> HttpResponse:
        """YAML, or what is wrong with the config."""
        kind, scope, show_as = wanted(None, request.POST)
        if kind is None:
            return HttpResponse(status=204)
        form = form_for(kind, scope, show_as)(request.POST)
        form.is_valid()
        problems = [
            error for name, errors in form.errors.items() if name.startswith("config") for error in errors
        ]
        return self.render(
            "admin/policy_preview.html", {"yaml": _dumped(form.instance.config), "problems": problems}
        )


def subject(row: Policy) -> Any:
    """What it is attached to."""
    field = SUBJECTS[row.scope]
    return link_to(getattr(row, field)) if field else "every request"


def mode(row: Policy) -> Badge:
    """Whether it acts."""
    colours: dict[str, Any] = {"enforce": "green", "observe": "yellow", "off": "secondary"}
    return Badge(row.mode, colours.get(row.mode, "secondary"))


def _yaml(row: Policy, request: HttpRequest) -> dict[str, Any]:
    kind = policies().get(row.name)
    return {
        "yaml": dump(row.config) if row.config else "",
        "manual": manual(kind) if kind else "",
        "card": card(kind) if kind else "",
    }


class Policies(Family):
    """All attached policies."""

    model = Policy
    path, noun, plural = "policies", "policy", "Policies"
    icon, section, place = "shield-check", "Gateway", 40
    summary = (
        "A policy is a rule for requests: who may call, how often, what is changed. "
        "It is attached to every request, an Api, a Route, a Plan or an App."
    )
    document_kind, document_name = "policy", "label"
    related = ("api", "route", "plan", "app")
    search = ("name", "label", "api__slug", "route__name", "plan__name", "app__name")
    order = ("scope", "name", "position", "pk")
    pages: ClassVar = {"create": ChoosePolicy}
    switch = Switch("mode", "enforce", "off", ("Enforce", "Turn off"), ("enforced", "off"))
    columns = (
        Column("name", "Policy", lambda row: row.name, link=True, sort="name"),
        Column("label", "Label", sort="label", wide=True),
        Column("scope", "Scope", lambda row: row.scope, sort="scope", wide=True),
        Column("subject", "Attached to", subject),
        Column("mode", "Mode", mode, sort="mode"),
        Column("when", "Only when", lambda row: Code(row.when), wide=True),
    )
    filters = (
        Filter("name", "Policy", lambda: [(name, name) for name in policies()]),
        Filter("scope", "Scope", tuple(SCOPE_LABELS.items())),
        Filter("mode", "Mode", Policy._meta.get_field("mode").choices or ()),
    )
    panels = (
        Facts(
            "Where and how",
            lambda row: (
                ("Policy", Code(row.name)),
                ("Attached to", subject(row)),
                ("Mode", mode(row)),
                ("Only when", Code(row.when)),
                ("Order", row.position),
                ("Label", row.label),
                ("Changed", row.updated_at),
            ),
        ),
        Drawn("Config", "admin/policy_config.html", _yaml, wide=False),
        Drawn("What it does", "admin/policy_manual.html", _yaml),
    )

    def form_class(self, row: Policy | None, data: Any) -> type[ObjectForm]:
        """The form of its kind and scope."""
        kind, scope, show_as = wanted(row, data)
        if kind is None:
            raise LookupError(f"there is no policy {row.name if row else data.get('name')!r}")
        return form_for(kind, scope, show_as)

    def bound_form(self, row: Policy | None, data: Any) -> ObjectForm:
        """As sent; with `show_as` the same values in the other form, unless some of them would be lost by that."""
        form = super().bound_form(row, data)
        other = data.get("show_as")
        if other not in ("yaml", "form"):
            return form
        changed = data.copy()
        changed["as"] = other
        kind = self.form_class(row, changed)
        stored = kind(instance=row)._stored
        form.is_valid()
        if form.conflicts or form.unread:
            return form
        config = form.instance.config
        fresh: Policy = form.instance
        initial = {name: value for name, value in form.cleaned_data.items() if not name.startswith("config_")}
        if other == "form" and form.errors.get("config_yaml"):
            return form
        fresh.config = config
        shown = kind(instance=fresh, initial=initial)
        shown._stored = stored  # what is seen is what is stored: these values are still one's own
        return shown

    def title(self, row: Policy) -> str:
        """Its label, or its name."""
        return row.label or row.name

    def badges(self, row: Policy) -> list[Badge]:
        """Mode and scope."""
        return [mode(row), Badge(row.scope, "blue")]

    def parent(self, row: Policy) -> Link | None:
        """What it is attached to."""
        field = SUBJECTS[row.scope]
        found: Link | None = link_to(getattr(row, field)) if field else None
        return found

    def extra_urls(self) -> list[URLPattern]:
        """The preview beside the form."""
        return [path("policies/preview/", Preview.as_view(), name="policies-preview")]

    def rows(self) -> QuerySet[Any]:
        """With what they are attached to."""
        return Policy.objects.select_related(*self.related)
