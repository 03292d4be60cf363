"""Targets: the instances of an Upstream. They are reached from its page."""

from __future__ import annotations

from typing import Any

from consoles.ui.cells import Badge, Code, Link
from consoles.ui.family import Family
from consoles.ui.forms import Group, ObjectForm
from consoles.ui.listing import Column
from consoles.ui.node import ejected_targets, target_health
from consoles.ui.panels import Facts
from consoles.ui.registry import link_to
from proxy.models import Target


class TargetForm(ObjectForm):
    """Address and share of one instance."""

    class Meta:
        model = Target
        fields = ("upstream", "host", "port", "weight", "priority", "zone")
        help_texts = {
            "host": "Name or address, without port.",
            "weight": "Share among those of one priority; 0 takes it out of service.",
            "priority": "Lower numbers are used first; higher ones while none of the lower is healthy.",
            "zone": "Where it runs, for people.",
        }

    groups = (Group("", ("upstream", "host", "port", "weight", "priority", "zone")),)


def health(target: Target) -> Badge:
    """As this node's health checks and workers see it."""
    state = target_health().get(target.upstream.name, {}).get(str(target))
    if target.weight == 0:
        return Badge("out of service", "secondary")
    if state is False:
        return Badge("unhealthy", "red")
    if workers := ejected_targets().get((target.upstream.name, str(target))):
        return Badge(f"ejected by {workers:,} worker{'s' * (workers > 1)}", "orange")
    return Badge("not checked") if state is None else Badge("healthy", "green")


class Targets(Family):
    """All Targets."""

    model = Target
    path, noun, plural = "targets", "Target", "Targets"
    icon = "server"
    summary = "A Target is one instance of an Upstream."
    related = ("upstream",)
    search = ("host", "zone", "upstream__name")
    order = ("upstream__name", "priority", "host", "port")
    form = TargetForm
    columns = (
        Column("address", "Address", str, sort="host", link=True),
        Column("upstream", "Upstream", lambda row: link_to(row.upstream), sort="upstream__name"),
        Column("health", "Health", health),
        Column("weight", "Weight", sort="weight", number=True),
        Column("priority", "Priority", sort="priority", number=True, wide=True),
        Column("zone", "Zone", sort="zone", wide=True),
    )
    panels = (
        Facts(
            "Target",
            lambda row: (
                ("Address", Code(str(row))),
                ("Upstream", link_to(row.upstream)),
                ("Weight", row.weight),
                ("Priority", row.priority),
                ("Zone", row.zone),
            ),
        ),
    )

    def badges(self, row: Target) -> list[Badge]:
        """Its health."""
        return [health(row)]

    def parent(self, row: Any) -> Link | None:
        """Its Upstream."""
        found: Link | None = link_to(row.upstream)
        return found
