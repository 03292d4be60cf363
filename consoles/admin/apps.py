"""Apps: the client programs, which other gateways call consumers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from consoles.models import Role
from consoles.ui.cells import Badge
from consoles.ui.counting import count_of
from consoles.ui.family import Action, Family
from consoles.ui.fields import TextLinesField
from consoles.ui.forms import Group, ObjectForm
from consoles.ui.listing import Column, Filter
from consoles.ui.panels import Facts, Related
from consoles.ui.registry import link_to
from proxy.models import App, Credential, Subscription
from proxy.models.app import validate_groups


class AppForm(ObjectForm):
    """Name, owner and groups."""

    groups = (Group("", ("name", "title", "developer", "active", "app_groups")),)

    class Meta:
        model = App
        fields = ("name", "title", "developer", "active")
        help_texts = {
            "name": "Used in records and metrics: lower-case letters, digits, dot, dash.",
            "developer": "Who owns it in the portal; may be nobody.",
            "active": "Off: refused everywhere, at once.",
        }

    def extra_fields(self) -> dict[str, Any]:
        """The model's `groups`, under a name that the form does not use for itself."""
        return {
            "app_groups": TextLinesField(
                label="Groups", help_text="For the acl policy, one a line.", initial=self.instance.groups
            )
        }

    def clean_app_groups(self) -> list[str]:
        """The model's own rule; it does not look at fields that are not in the form."""
        found: list[str] = self.cleaned_data["app_groups"]
        validate_groups(found)
        return found

    def _post_clean(self) -> None:
        self.instance.groups = self.cleaned_data.get("app_groups", self.instance.groups)
        super()._post_clean()  # type: ignore[misc]

    def home_of(self, name: str, text: str) -> tuple[str, str]:
        """What is wrong with `groups` is shown at its field."""
        return ("app_groups", text) if name == "groups" else super().home_of(name, text)


def state(row: App) -> Badge:
    """Whether the gateway takes its calls."""
    if not row.active:
        return Badge("suspended", "red")
    if row.developer and not row.developer.active:
        return Badge("Developer is suspended", "red")
    return Badge("active", "green")


class Apps(Family):
    """All Apps."""

    model = App
    path, noun, plural = "apps", "App", "Apps"
    icon, section, place = "apps", "Consumers", 10
    summary = "An App is a client program. Its keys prove who it is, its Subscriptions say what it may call."
    draft = False
    related = ("developer",)
    search = ("name", "title", "developer__email")
    order = ("name",)
    form = AppForm
    columns = (
        Column("name", "Name", lambda row: row.name, link=True, sort="name"),
        Column("title", "Title", sort="title", wide=True),
        Column(
            "developer", "Developer", lambda row: link_to(row.developer), sort="developer__email", wide=True
        ),
        Column("keys", "Keys", lambda row: row.key_count, sort="key_count", number=True),
        Column(
            "subscriptions",
            "Subscriptions",
            lambda row: row.subscription_count,
            sort="subscription_count",
            number=True,
            wide=True,
        ),
        Column("state", "State", state, sort="active"),
    )
    filters = (
        Filter("active", "State", (("True", "active"), ("False", "suspended"))),
        Filter(
            "owned",
            "Owner",
            (("yes", "a Developer"), ("no", "nobody")),
            apply=lambda rows, value: rows.filter(developer__isnull=value == "no"),
        ),
    )
    panels = (
        Facts(
            "App",
            lambda row: (
                ("Name", row.name),
                ("Title", row.title),
                ("Developer", link_to(row.developer)),
                ("Groups", row.groups),
                ("Created", row.created_at),
            ),
            wide=True,
        ),
        Related(
            "Keys",
            "keys",
            lambda row: {"app": row},
            columns=("key", "name", "state", "created_at", "expires_at"),
            preset=lambda row: f"app={row.pk}",
            more=lambda row: f"q={row.name}",
            empty="No keys yet: this App cannot call Apis that ask for one.",
        ),
        Related(
            "Subscriptions",
            "subscriptions",
            lambda row: {"app": row},
            columns=("id", "api", "plan", "status"),
            preset=lambda row: f"app={row.pk}",
            empty="No Subscriptions yet.",
        ),
        Related(
            "Policies of this App",
            "policies",
            lambda row: {"app": row},
            columns=("name", "label", "mode"),
            preset=lambda row: f"scope=consumer&app={row.pk}",
            empty="No policies of its own.",
        ),
    )

    def rows(self) -> QuerySet[Any]:
        """With the numbers of usable keys and Subscriptions."""
        return App.objects.select_related("developer").annotate(
            key_count=count_of(Credential, "app", revoked_at=None),
            subscription_count=count_of(Subscription, "app"),
        )

    def badges(self, row: App) -> list[Badge]:
        """Its state."""
        return [state(row)]

    def actions(self, row: App) -> list[Action]:
        """Straight to a key."""
        return [
            Action(
                "Issue key",
                f"{reverse('console:keys-create')}?app={row.pk}",
                "key",
                Role.EDITOR,
                style="btn-primary",
            )
        ]
