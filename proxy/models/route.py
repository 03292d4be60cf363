"""Route: a match rule of an Api, and where it goes."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import models

from proxy.config import document
from proxy.config.validate import check_route
from proxy.models.api import Api
from proxy.models.base import NEWEST, Editable
from proxy.models.upstream import Upstream


class Route(Editable):
    """What requests it takes (`path`, `methods`, `headers`, `query`, `hosts` in place of the Api's).

    `position` is the order within the Api: it grows with age unless a file says otherwise.
    """

    api = models.ForeignKey(Api, on_delete=models.CASCADE, related_name="routes")
    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=NEWEST)
    path_kind = models.CharField(
        max_length=10,
        default="prefix",
        choices=[(kind, kind) for kind in ("exact", "prefix", "template", "regex")],
    )
    path = models.CharField(max_length=1000, default="/")
    hosts = models.JSONField(default=list, blank=True)
    methods = models.JSONField(default=list, blank=True)
    headers = models.JSONField(default=list, blank=True)
    query = models.JSONField(default=list, blank=True)
    upstream = models.ForeignKey(
        Upstream, on_delete=models.PROTECT, null=True, blank=True, related_name="routes"
    )
    redirect = models.JSONField(null=True, blank=True)
    strip_prefix = models.BooleanField(default=False)
    rewrite_path = models.CharField(max_length=1000, null=True, blank=True)  # noqa: DJ001 - empty is a value
    preserve_host = models.BooleanField(default=False)
    websocket = models.BooleanField(default=True)
    body_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    request_timeout = models.FloatField(null=True, blank=True)
    first_byte_timeout = models.FloatField(null=True, blank=True)
    allow_encoded = models.BooleanField(default=False)

    class Meta:
        ordering = ["api", "position", "id"]
        indexes = [models.Index(fields=["api", "position"])]

    def __str__(self) -> str:
        return self.name

    shared = (
        "name",
        "hosts",
        "methods",
        "headers",
        "query",
        "redirect",
        "strip_prefix",
        "rewrite_path",
        "preserve_host",
        "websocket",
        "body_bytes",
        "request_timeout",
        "first_byte_timeout",
        "allow_encoded",
        "enabled",
    )

    def clean(self) -> None:
        """Check the fields as a document would be checked."""
        self.check_as(document.Route, check_route, {"path.kind": "path_kind", "path.value": "path"})

    def plain(self, upstream: str | None = None) -> dict[str, Any]:
        """The Route as plain data, by the names of the document; `upstream` saves asking for its name."""
        if upstream is None:
            upstream = self.upstream.name if self.upstream else ""
        path = {"kind": self.path_kind, "value": self.path}
        return {**super().plain(), "path": path, "upstream": upstream}

    def fill(self, item: msgspec.Struct) -> None:
        """Take the columns from a document's Route; the Upstream is the caller's to find."""
        super().fill(item)
        if isinstance(item, document.Route):
            self.path_kind, self.path = item.path.kind, item.path.value

    def as_document(self) -> document.Route:
        """The Route by name, without its policies."""
        return msgspec.convert(self.plain(), document.Route)
