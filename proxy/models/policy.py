"""Policy: a named rule with its config, attached to the gateway, an Api, a Route, a Plan or an App."""

from __future__ import annotations

import msgspec
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from proxy.config import document
from proxy.config.validate import check_policy
from proxy.models.api import Api
from proxy.models.base import Editable
from proxy.models.plan import Plan
from proxy.models.route import Route

SUBJECTS = {"global": None, "api": "api", "route": "route", "plan": "plan", "consumer": "app"}
"""The field that holds the subject, for each scope."""


def _one_subject() -> Q:
    condition = Q()
    fields = [field for field in SUBJECTS.values() if field]
    for scope, subject in SUBJECTS.items():
        condition |= Q(scope=scope, **{f"{field}__isnull": field != subject for field in fields})
    return condition


class Policy(Editable):
    """`name` is the policy file's; `label` tells instances apart; exactly the scope's subject is set."""

    name = models.CharField(max_length=100)
    label = models.CharField(max_length=100, blank=True)
    scope = models.CharField(max_length=10, default="global", choices=[(name, name) for name in SUBJECTS])
    api = models.ForeignKey(Api, on_delete=models.CASCADE, null=True, blank=True, related_name="policies")
    route = models.ForeignKey(Route, on_delete=models.CASCADE, null=True, blank=True, related_name="policies")
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, null=True, blank=True, related_name="policies")
    app = models.ForeignKey(
        "proxy.App", on_delete=models.CASCADE, null=True, blank=True, related_name="policies"
    )
    mode = models.CharField(
        max_length=10, default="enforce", choices=[(name, name) for name in ("enforce", "observe", "off")]
    )
    when = models.TextField(blank=True)
    position = models.IntegerField(default=0)
    config = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["position", "id"]
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(fields=["label"], condition=~Q(label=""), name="proxy_policy_label"),
            models.CheckConstraint(condition=_one_subject(), name="proxy_policy_one_subject"),
        ]

    def __str__(self) -> str:
        return self.label or self.name

    shared = ("name", "label", "mode", "when", "position", "config")

    def clean(self) -> None:
        """Check the fields as a document would be checked."""
        for field in filter(None, SUBJECTS.values()):
            if (getattr(self, f"{field}_id") is not None) != (field == SUBJECTS.get(self.scope)):
                raise ValidationError({field: f"Scope {self.scope} needs exactly its own subject."})
        self.check_as(document.Policy, check_policy)

    def as_document(self, app: str = "") -> document.Policy:
        """The policy as its subject lists it; `app` is the name of the App it belongs to, if any."""
        return msgspec.convert({**self.plain(), "app": app}, document.Policy)
