"""Developers: people of the portal."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from consoles.ui.cells import Badge
from consoles.ui.counting import count_of
from consoles.ui.family import Family
from consoles.ui.forms import Group, ObjectForm
from consoles.ui.listing import Column, Filter
from consoles.ui.panels import Facts, Related
from proxy.models import App, Developer


class DeveloperForm(ObjectForm):
    """Who it is, and whether their Apps may call."""

    class Meta:
        model = Developer
        fields = ("email", "name", "active")
        labels = {"email": "E-mail"}
        help_texts = {"active": "Off takes all their Apps out of service at once."}

    groups = (Group("", ("email", "name", "active")),)


def state(row: Developer) -> Badge:
    """Whether their Apps may call."""
    return Badge("active", "green") if row.active else Badge("suspended", "red")


class Developers(Family):
    """All Developers."""

    model = Developer
    path, noun, plural = "developers", "Developer", "Developers"
    icon, section, place = "users", "Consumers", 50
    summary = "A Developer is a person in the portal, who registers Apps."
    draft = False
    document_name = "email"
    search = ("email", "name")
    order = ("email",)
    form = DeveloperForm
    columns = (
        Column("email", "E-mail", link=True, sort="email"),
        Column("name", "Name", sort="name", wide=True),
        Column("app_count", "Apps", sort="app_count", number=True),
        Column("active", "State", state, sort="active"),
        Column("created_at", "Since", sort="created_at", wide=True),
    )
    filters = (Filter("active", "State", (("True", "active"), ("False", "suspended"))),)
    panels = (
        Facts(
            "Developer",
            lambda row: (
                ("E-mail", row.email),
                ("Name", row.name),
                ("State", state(row)),
                ("Since", row.created_at),
            ),
            wide=True,
        ),
        Related(
            "Apps",
            "apps",
            lambda row: {"developer": row},
            columns=("name", "title", "keys", "state"),
            preset=lambda row: f"developer={row.pk}",
            empty="No Apps yet.",
        ),
    )

    def rows(self) -> QuerySet[Any]:
        """With the number of Apps."""
        return Developer.objects.annotate(app_count=count_of(App, "developer"))

    def badges(self, row: Developer) -> list[Badge]:
        """Their state."""
        return [state(row)]
