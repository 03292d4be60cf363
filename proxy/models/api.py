"""Api: a product surface."""

from __future__ import annotations

import msgspec
from django.db import models

from proxy.config import document
from proxy.config.validate import check_api
from proxy.models.base import NEWEST, Editable
from proxy.models.subscription import check_name


class Api(Editable):
    """Slug, hosts and base path of a product, its OpenAPI document and its place in the portal.

    `deprecated_at` and `sunset_at` are days in UTC; they are told to clients while it is deprecated.
    `position` is the order among Apis: of rules that match equally well, those of the first Api win.
    """

    slug = models.CharField(max_length=100, unique=True)
    version = models.CharField(max_length=50, default="v1")
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    hosts = models.JSONField(default=list, blank=True)
    base_path = models.CharField(max_length=500, default="/")
    lifecycle = models.CharField(
        max_length=20,
        default="published",
        choices=[(name, name) for name in ("draft", "published", "deprecated", "retired")],
    )
    deprecated_at = models.DateField(null=True, blank=True)
    sunset_at = models.DateField(null=True, blank=True)
    documentation_url = models.CharField(max_length=1000, blank=True)
    visibility = models.CharField(
        max_length=20, default="private", choices=[("public", "public"), ("private", "private")]
    )
    tags = models.JSONField(default=list, blank=True)
    openapi = models.TextField(blank=True)
    position = models.PositiveIntegerField(default=NEWEST)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.slug

    shared = (
        "slug",
        "version",
        "title",
        "description",
        "hosts",
        "base_path",
        "lifecycle",
        "deprecated_at",
        "sunset_at",
        "documentation_url",
        "visibility",
        "tags",
        "openapi",
    )

    def clean(self) -> None:
        """Check the fields as a document would be checked."""
        self.check_as(document.Api, check_api)
        check_name(self, "slug")

    def named_relations(self) -> dict[str, list[str]]:
        """The Plans that it is sold under, by name, for the audit."""
        return {"plans": sorted(self.plans.values_list("name", flat=True)) if self.pk else []}

    def as_document(self) -> document.Api:
        """The Api by name, without its Routes and policies."""
        return msgspec.convert(self.plain(), document.Api)
