"""Plan: limits and quota sold as one name."""

from __future__ import annotations

import msgspec
from django.db import models

from proxy.config import document
from proxy.config.validate import check_plan
from proxy.models.api import Api
from proxy.models.base import Editable
from proxy.models.subscription import check_name


class Plan(Editable):
    """What a Subscription is to; its limits are the policies attached to it.

    It is sold on its `apis` only. What is subscribed already stays so when an Api is taken off.
    """

    name = models.CharField(max_length=100, unique=True)
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    approval = models.CharField(
        max_length=10, default="auto", choices=[("auto", "automatic"), ("manual", "by an admin")]
    )
    apis = models.ManyToManyField(Api, blank=True, related_name="plans")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    shared = ("name", "title", "description", "approval")

    def clean(self) -> None:
        """Check the fields as a document would be checked."""
        self.check_as(document.Plan, check_plan)
        check_name(self, "name")

    def as_document(self) -> document.Plan:
        """The Plan by name, without its policies and what it is sold on."""
        return msgspec.convert(self.plain(), document.Plan)

    def named_relations(self) -> dict[str, list[str]]:
        """What it refers to without a column, by name, for the audit."""
        return {"apis": sorted(self.apis.values_list("slug", flat=True)) if self.pk else []}

    def sells(self, api: Api) -> bool:
        """Whether Apps can subscribe to it on this Api."""
        return self.apis.filter(pk=api.pk).exists()
