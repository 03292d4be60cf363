"""Policies where they are attached."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from consoles.api.filters import Filter
from consoles.api.references import Named
from consoles.api.resource import Edited
from consoles.api.strict import ModelStrict
from proxy.config import document
from proxy.models import Api, App, Plan, Policy, Route
from proxy.models.policy import SUBJECTS


def _subject(model: Any, field: str) -> Named:
    return Named(
        slug_field=field,
        queryset=model._default_manager.only("pk", field),
        allow_null=True,
        required=False,
        help_text=f"The {model._meta.model_name} it is attached to, by {field}; null in other scopes.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Keys for one Api",
            value={"name": "key-auth", "scope": "api", "api": "shop", "config": {}},
            request_only=True,
        )
    ]
)
class PolicySerializer(ModelStrict):
    """A rule with its config. `scope` says which of `api`, `route`, `plan` and `app` is given."""

    api = _subject(Api, "slug")
    route = _subject(Route, "name")
    plan = _subject(Plan, "name")
    app = _subject(App, "name")

    class Meta:
        """Columns."""

        model = Policy
        struct = document.Policy
        fields = (
            "id",
            "name",
            "label",
            "scope",
            *(name for name in SUBJECTS.values() if name),
            "mode",
            "when",
            "position",
            "config",
            "edition",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("edition", "created_at", "updated_at")


class PolicySet(Edited):
    """Attached policies."""

    tag = "Policies"
    queryset = Policy.objects.select_related("api", "route", "plan", "app").defer("api__openapi")
    serializer_class = PolicySerializer
    filters: ClassVar = {
        "name": Filter("name__exact", "Name of the policy, as key-auth."),
        "label": Filter("label__exact", "The label."),
        "scope": Filter("scope__exact", "Where it is attached.", "choice", tuple(SUBJECTS)),
        "api": Filter("api__slug__exact", "Slug of the Api it is attached to."),
        "route": Filter("route__name__exact", "Name of the Route it is attached to."),
        "plan": Filter("plan__name__exact", "Name of the Plan it is attached to."),
        "app": Filter("app__name__exact", "Name of the App it is attached to."),
        "mode": Filter("mode__exact", "What it does.", "choice", ("enforce", "observe", "off")),
    }
    orders: ClassVar = {"name": "name", "position": "position", "updated_at": "updated_at"}
