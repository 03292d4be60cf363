"""Upstream and Target: a service and its instances."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from django.db import models

from proxy.config import snapshot
from proxy.config.validate import check_service, check_target
from proxy.models.base import Editable


class Upstream(Editable):
    """How to speak to a service: protocol, TLS, deadlines, connections, retries, health check, ejection."""

    name = models.CharField(max_length=100, unique=True)
    protocol = models.CharField(
        max_length=10, default="http", choices=[(name, name) for name in ("http", "https", "h2", "h2c")]
    )
    algorithm = models.CharField(
        max_length=20, default="round-robin", choices=[("round-robin", "round-robin")]
    )
    connect_timeout = models.FloatField(default=2.0)
    first_byte_timeout = models.FloatField(default=30.0)
    idle_timeout = models.FloatField(default=60.0)
    keepalive_timeout = models.FloatField(default=60.0)
    max_connections = models.PositiveIntegerField(default=512)
    max_pending = models.PositiveIntegerField(default=1024)
    retries = models.PositiveSmallIntegerField(default=1)
    retry_budget = models.FloatField(default=0.2)
    host_header = models.CharField(max_length=255, blank=True)
    tls_verify = models.BooleanField(default=True)
    tls_ca = models.TextField(blank=True)
    tls_server_name = models.CharField(max_length=255, blank=True)
    health = models.JSONField(default=dict, blank=True)
    outlier = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    shared = (
        "name",
        "protocol",
        "algorithm",
        "connect_timeout",
        "first_byte_timeout",
        "idle_timeout",
        "keepalive_timeout",
        "max_connections",
        "max_pending",
        "retries",
        "retry_budget",
        "host_header",
        "tls_verify",
        "tls_ca",
        "tls_server_name",
        "health",
        "outlier",
    )

    def clean(self) -> None:
        """Check the fields as a document would be checked; Targets are checked on their own."""
        self.check_as(snapshot.Upstream, check_service)

    def as_document(self, targets: Iterable[Target]) -> snapshot.Upstream:
        """The Upstream by name, with these Targets."""
        plain = {**self.plain(), "targets": [target.plain() for target in targets]}
        return msgspec.convert(plain, snapshot.Upstream)


class Target(Editable):
    """One instance of an Upstream. Weight 0 takes it out; a lower priority number is used first."""

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="targets")
    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField()
    weight = models.PositiveIntegerField(default=100)
    zone = models.CharField(max_length=100, blank=True)
    priority = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["upstream", "host", "port"], name="proxy_target_unique_address")
        ]

    shared = ("host", "port", "weight", "zone", "priority")

    def __str__(self) -> str:
        return self.as_document().label

    def clean(self) -> None:
        """Check the fields as a document would be checked."""
        self.check_as(snapshot.Target, check_target)

    def as_document(self) -> snapshot.Target:
        """The Target as a document holds it."""
        return msgspec.convert(self.plain(), snapshot.Target)
