"""Developers, Apps and Subscriptions in a configuration file: named there, they are created or updated.

They are never deleted by a file, since an App takes its keys with it, which are in no file. None of this
is part of a Revision: it takes effect by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone

from proxy.config import document, fields
from proxy.config.problem import Problem
from proxy.config.snapshot import Frozen
from proxy.models import Api, App, Plan, Subscription
from proxy.models import Developer as DeveloperRow
from proxy.models.app import validate_groups


class DeveloperEntry(Frozen, frozen=True):
    """A person in the portal."""

    email: str
    name: str = ""
    active: bool = True


class AppEntry(Frozen, frozen=True):
    """A client program; `developer` is the e-mail address of its owner."""

    name: str
    title: str = ""
    developer: str = ""
    active: bool = True
    groups: tuple[str, ...] = ()


class SubscriptionEntry(Frozen, frozen=True):
    """An App's use of an Api under a Plan."""

    app: str
    api: str
    plan: str
    status: Literal["pending", "accepted", "rejected", "paused", "closed"] = "accepted"


class Identities(Frozen, frozen=True):
    """What a file says of identities; None means that it says nothing."""

    developers: tuple[DeveloperEntry, ...] | None = None
    apps: tuple[AppEntry, ...] | None = None
    subscriptions: tuple[SubscriptionEntry, ...] | None = None

    @property
    def given(self) -> bool:
        """There is something to apply."""
        return bool(self.developers or self.apps or self.subscriptions)


def stored_identities() -> Identities:
    """What the database has."""
    apps = App.objects.select_related("developer").order_by("name")
    live = Subscription.objects.filter(status__in=Subscription.LIVE).select_related("app", "api", "plan")
    return Identities(
        developers=tuple(
            DeveloperEntry(row.email, row.name, row.active) for row in DeveloperRow.objects.order_by("email")
        ),
        apps=tuple(
            AppEntry(
                row.name,
                row.title,
                row.developer.email if row.developer else "",
                row.active,
                tuple(row.groups),
            )
            for row in apps
        ),
        subscriptions=tuple(
            SubscriptionEntry(row.app.name, row.api.slug, row.plan.name, row.status)  # type: ignore[arg-type]
            for row in live.order_by("app__name", "api__slug")
        ),
    )


def problems_of_identities(wanted: Identities, whole: document.Document) -> list[Problem]:
    """All that is wrong with the identities of a file beside this configuration."""
    return [
        *_developers(wanted.developers or ()),
        *_apps(wanted),
        *_subscriptions(wanted, whole),
    ]


def _developers(rows: tuple[DeveloperEntry, ...]) -> Iterator[Problem]:
    yield from _twice("developer", "email", (row.email for row in rows))
    for row in rows:
        if len(row.email) > 254:
            yield Problem(f"developer {row.email}", "email", "is longer than 254 characters")
        try:
            validate_email(row.email)
        except ValidationError:
            yield Problem(f"developer {row.email}", "email", "is not an e-mail address")
        if reason := fields.wrong_text(row.name, 200):
            yield Problem(f"developer {row.email}", "name", reason)


def _apps(wanted: Identities) -> Iterator[Problem]:
    rows = wanted.apps or ()
    yield from _twice("app", "name", (row.name for row in rows))
    known = {row.email for row in wanted.developers or ()}
    known |= set(DeveloperRow.objects.values_list("email", flat=True))
    for row in rows:
        owner = f"app {row.name}"
        if reason := fields.wrong_name(row.name):
            yield Problem(owner, "name", reason)
        if reason := fields.wrong_text(row.title, 200):
            yield Problem(owner, "title", reason)
        if row.developer and row.developer not in known:
            yield Problem(owner, "developer", f"there is no developer {row.developer!r}")
        try:
            validate_groups(list(row.groups))
        except ValidationError as error:
            yield Problem(owner, "groups", error.messages[0])


def _subscriptions(wanted: Identities, whole: document.Document) -> Iterator[Problem]:
    rows = wanted.subscriptions or ()
    yield from _twice("subscription", "app", (_title(row) for row in rows))
    known = {
        "app": {row.name for row in wanted.apps or ()} | set(App.objects.values_list("name", flat=True)),
        "api": {row.slug for row in whole.apis},
        "plan": {row.name for row in whole.plans},
    }
    for row in rows:
        for field, names in known.items():
            if getattr(row, field) not in names:
                reason = f"there is no {field} {getattr(row, field)!r}"
                yield Problem(f"subscription {_title(row)}", field, reason)
    yield from _unsold(rows, whole)


def _unsold(rows: tuple[SubscriptionEntry, ...], whole: document.Document) -> Iterator[Problem]:
    """Subscriptions under Plans that are not sold on their Api, but for those that there are already."""
    sold = {plan.name: plan.apis for plan in whole.plans}
    stored: set[tuple[str, str, str]] | None = None
    for row in rows:
        apis = sold.get(row.plan)
        if row.status not in Subscription.LIVE or apis is None or row.api in apis:
            continue
        if stored is None:
            live = Subscription.objects.filter(status__in=Subscription.LIVE)
            stored = set(live.values_list("app__name", "api__slug", "plan__name"))
        if (row.app, row.api, row.plan) not in stored:
            reason = f"is not sold on api {row.api!r}; add it to the plan's apis"
            yield Problem(f"subscription {_title(row)}", "plan", reason)


def _twice(kind: str, field: str, names: Iterable[str]) -> Iterator[Problem]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Problem(f"{kind} {name}", field, f"there are {count} of this name")


def identity_changes(wanted: Identities) -> list[str]:
    """One line for each identity that applying would create or update."""
    stored = stored_identities()
    lines: list[str] = []
    for kind in ("developers", "apps", "subscriptions"):
        before = {_title(row): row for row in getattr(stored, kind)}
        for row in getattr(wanted, kind) or ():
            if _title(row) not in before:
                lines.append(f"+ {kind[:-1]} {_title(row)}")
            elif before[_title(row)] != row:
                lines.append(f"~ {kind[:-1]} {_title(row)}")
    return lines


def _title(row: Any) -> str:
    if isinstance(row, SubscriptionEntry):
        return f"{row.app} to {row.api}"
    return str(row.email if isinstance(row, DeveloperEntry) else row.name)


def write_people(wanted: Identities) -> None:
    """Create and update developers and Apps, before the configuration that may name them."""
    for item in wanted.developers or ():
        developer = DeveloperRow.objects.filter(email=item.email).first() or DeveloperRow(email=item.email)
        _save(developer, name=item.name, active=item.active)
    owners = {row.email: row for row in DeveloperRow.objects.all()} if wanted.apps else {}
    for entry in wanted.apps or ():
        app = App.objects.filter(name=entry.name).first() or App(name=entry.name)
        _save(
            app,
            title=entry.title,
            developer=owners.get(entry.developer),
            active=entry.active,
            groups=list(entry.groups),
        )


def write_subscriptions(wanted: Identities) -> None:
    """Create and update Subscriptions, after the Apis and Plans that they are to."""
    for item in wanted.subscriptions or ():
        names = {"app__name": item.app, "api__slug": item.api}
        row = Subscription.objects.filter(**names, status__in=Subscription.LIVE).first()
        if row is None:
            row = Subscription.objects.filter(**names).first() or Subscription(
                app=App.objects.get(name=item.app), api=Api.objects.get(slug=item.api)
            )
        decided = timezone.now() if row.status != item.status and item.status != "pending" else row.decided_at
        _save(row, plan=Plan.objects.get(name=item.plan), status=item.status, decided_at=decided)


def _save(row: Any, **values: Any) -> None:
    """Store what differs: an identity that did not change is not sent to the nodes again."""
    if row._state.adding or any(getattr(row, name) != value for name, value in values.items()):
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
