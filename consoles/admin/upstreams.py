"""Upstreams: the services behind the gateway."""

from __future__ import annotations

from typing import Any

import msgspec
from django import forms
from django.db.models import QuerySet

from consoles.ui.cells import Badge
from consoles.ui.counting import count_of
from consoles.ui.family import Family
from consoles.ui.forms import Group
from consoles.ui.listing import Column, Filter
from consoles.ui.nested import NestedForm
from consoles.ui.panels import HIDE, Facts, Related
from proxy.config.snapshot import HealthCheck, OutlierEjection
from proxy.models import Route, Target, Upstream


class UpstreamForm(NestedForm):
    """How to speak to a service."""

    nested = {"health": HealthCheck, "outlier": OutlierEjection}
    nested_help = {
        "health_path": "Asked for with GET at every Target.",
        "health_interval": "Seconds between two checks; 0 turns them off.",
        "health_timeout": "Seconds until a check has failed.",
        "health_healthy_after": "So many good checks in a row bring a Target back.",
        "health_unhealthy_after": "So many bad checks in a row take it out.",
        "health_statuses": "Statuses that are good.",
        "outlier_failures": "Calls in a row that fail until a Target gets none for a while; 0 turns it off.",
        "outlier_base_seconds": "How long the first time; the second time is twice as long, and so on, up to "
        "five minutes. Good times make it shorter again.",
        "outlier_max_percent": "Of the Targets in service, no more than this are out at a time. The last one "
        "stays in any case.",
        "outlier_statuses": "Answers that count as failures, from 500 to 599. Failed connections and answers "
        "that do not come always do.",
    }

    class Meta:
        model = Upstream
        fields = tuple(name for name in Upstream.shared if name not in ("health", "outlier"))
        labels = {
            "tls_ca": "Own CA",
            "tls_verify": "Check the certificate",
            "tls_server_name": "Server name (SNI)",
        }
        help_texts = {
            "name": "Used in records and metrics: lower-case letters, digits, dot, dash.",
            "protocol": "h2 is HTTP/2 over TLS, h2c without.",
            "connect_timeout": "Seconds to make a connection.",
            "first_byte_timeout": "Seconds until the answer begins; a Route may say otherwise.",
            "idle_timeout": "Seconds that a transfer may stand still.",
            "keepalive_timeout": "Seconds that an unused connection is kept.",
            "max_connections": "Open at once, of one worker to all Targets.",
            "max_pending": "Requests that may wait for a connection.",
            "retries": "Further tries on another Target, where that is safe.",
            "retry_budget": "Share of all requests that may be sent again, so that retries do not add to an outage.",
            "host_header": "Empty: the Target's own address.",
            "tls_ca": "PEM of the authority that signed the Targets' certificates, if it is not a public one.",
        }
        widgets = {"tls_ca": forms.Textarea({"rows": 4, "class": "mono", "spellcheck": "false"})}

    groups = (
        Group("Service", ("name", "protocol", "algorithm", "host_header")),
        Group(
            "Health check",
            tuple(f"health_{name}" for name in HealthCheck.__struct_fields__),
            help="The node asks every Target and leaves out those that do not answer.",
        ),
        Group(
            "Ejection",
            tuple(f"outlier_{name}" for name in OutlierEjection.__struct_fields__),
            folded=True,
            help="A Target that fails calls in a row gets none for a while, then is tried again.",
        ),
        Group("Time", ("connect_timeout", "first_byte_timeout", "idle_timeout", "keepalive_timeout")),
        Group(
            "Connections and retries",
            ("max_connections", "max_pending", "retries", "retry_budget"),
            folded=True,
        ),
        Group("TLS", ("tls_verify", "tls_server_name", "tls_ca"), folded=True),
    )


def checked(upstream: Upstream) -> Badge:
    """Whether its Targets are checked."""
    interval = (upstream.health or {}).get("interval", 0)
    return Badge(f"every {interval:g} s", "green") if interval else Badge("not checked")


def ejection(upstream: Upstream) -> Badge:
    """Whether Targets that fail are taken out."""
    outlier = msgspec.convert(upstream.outlier or {}, OutlierEjection)
    return Badge(f"after {outlier.failures} failures", "green") if outlier.failures else Badge("off")


class Upstreams(Family):
    """All Upstreams."""

    model = Upstream
    path, noun, plural = "upstreams", "Upstream", "Upstreams"
    icon, section, place = "server-2", "Gateway", 30
    summary = "An Upstream is a service that Routes lead to: its Targets, deadlines and health check."
    document_kind = "upstream"
    search = ("name",)
    order = ("name",)
    form = UpstreamForm
    columns = (
        Column("name", "Name", link=True, sort="name"),
        Column("protocol", "Protocol", sort="protocol"),
        Column("target_count", "Targets", sort="target_count", number=True),
        Column("route_count", "Routes", sort="route_count", number=True),
        Column("health", "Health check", checked, wide=True),
        Column("updated_at", "Changed", sort="updated_at", wide=True),
    )
    filters = (Filter("protocol", "Protocol", Upstream._meta.get_field("protocol").choices or ()),)
    panels = (
        Facts(
            "Connection",
            lambda row: (
                ("Protocol", row.protocol),
                ("Balancing", row.algorithm),
                ("Host header", row.host_header or "the Target's own"),
                (
                    "Certificate",
                    HIDE
                    if row.protocol in ("http", "h2c")
                    else "checked"
                    if row.tls_verify
                    else "not checked",
                ),
                ("Connections", f"{row.max_connections} a worker, {row.max_pending} may wait"),
                ("Retries", f"{row.retries}, at most {row.retry_budget:.0%} of requests"),
            ),
        ),
        Facts(
            "Time and health",
            lambda row: (
                ("Connect", f"{row.connect_timeout:g} s"),
                ("First byte", f"{row.first_byte_timeout:g} s"),
                ("Standing still", f"{row.idle_timeout:g} s"),
                ("Health check", checked(row)),
                ("Ejection", ejection(row)),
                (
                    "Health path",
                    (row.health or {}).get("path", "/") if (row.health or {}).get("interval") else HIDE,
                ),
            ),
        ),
        Related(
            "Targets",
            "targets",
            lambda row: {"upstream": row},
            columns=("address", "health", "weight", "priority", "zone"),
            preset=lambda row: f"upstream={row.pk}",
            empty="No Targets yet: Routes to this Upstream answer with 503.",
        ),
        Related(
            "Routes that lead here",
            "routes",
            lambda row: {"upstream": row},
            columns=("name", "api", "match", "state"),
            more=lambda row: f"upstream={row.pk}",
            empty="No Route leads here.",
        ),
    )

    def rows(self) -> QuerySet[Any]:
        """With the numbers of Targets and Routes."""
        return Upstream.objects.annotate(
            target_count=count_of(Target, "upstream"), route_count=count_of(Route, "upstream")
        )

    def badges(self, row: Upstream) -> list[Badge]:
        """Its protocol."""
        return [Badge(row.protocol, "blue")]
