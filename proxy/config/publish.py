"""Publishing: the draft becomes a Revision, whole or not at all; rolling back publishes an old one again."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from django.db import transaction

from proxy.config import document
from proxy.config.apply import Refused, write_draft
from proxy.config.compile import compile_document
from proxy.config.decode import plain
from proxy.config.difference import Change, differences
from proxy.config.draft import draft_document
from proxy.config.problem import Problem
from proxy.config.sealed import opened_document, sealed_document, sealed_problems
from proxy.config.snapshot import Snapshot
from proxy.config.store import snapshot_digest
from proxy.config.whole import check, warnings_of
from proxy.models import App, Gateway, Revision, Subscription

MAX_CHANGES = 500


class PublishRefused(Refused):
    """Nothing was published; `problems` are all the reasons. What runs keeps running."""


class Published(NamedTuple):
    """A new Revision, what it changed, and what is allowed in it but hardly meant."""

    revision: Revision
    changes: list[Change]
    warnings: list[Problem]


class Checked(NamedTuple):
    """What publishing the draft now would come to."""

    changes: list[Change]
    problems: list[Problem]
    warnings: list[Problem]


def publish(note: str = "", author: str = "") -> Published:
    """Make the draft the live Revision. Raises `PublishRefused`.

    All in one transaction, under a lock: publishes that meet come one after the other.
    """
    with transaction.atomic():
        Gateway.lock()
        return _publish(_draft(), note, author)


def check_draft() -> Checked:
    """Everything that publishing would say, without publishing."""
    try:
        draft = _draft()
    except PublishRefused as refused:
        return Checked([], refused.problems, [])
    snapshot, problems = check(draft, app_names())
    changes = differences(_readable(live_revision()), draft)
    return Checked(changes, problems, warnings_of(draft, snapshot) if snapshot else [])


def rollback(number: int, author: str = "", note: str = "") -> Published:
    """Publish an old Revision again and make the draft equal to it. Raises `PublishRefused`, and
    `Revision.DoesNotExist` if there is no such Revision.

    Plans and Apis that Subscriptions are to stay, the Apis retired; policies of Apps that are gone are left
    out: identities are not rolled back.
    """
    with transaction.atomic():
        Gateway.lock()
        old = revision_document(Revision.objects.get(number=number))
        _refuse_sealed(old)
        whole = _with_identities_of_today(old, _draft())
        try:
            write_draft(whole)
        except Refused as refused:
            raise PublishRefused(refused.problems) from None
        return _publish(_draft(), note or f"Rollback to revision {number}", author)


def live_revision() -> Revision | None:
    """The Revision with the highest number, None before the first publish."""
    return Revision.objects.order_by("-number").first()


def live_document() -> document.Document:
    """The live configuration, empty before the first publish."""
    revision = live_revision()
    return revision_document(revision) if revision else document.Document()


def revision_document(revision: Revision) -> document.Document:
    """What was published. Raises `PublishRefused` if this version of Tidegate cannot read it any more.

    A private key that was sealed with a secret that is not known here stays sealed.
    """
    try:
        stored = msgspec.json.decode(revision.document, type=document.Document)
        return document.canonical(opened_document(stored))
    except msgspec.DecodeError as error:
        problem = Problem(str(revision), "document", f"cannot be read by this version: {error}")
        raise PublishRefused([problem]) from None


def compile_revision(revision: Revision) -> Snapshot:
    """The Snapshot of a Revision, with private keys as they are, for the node agent.

    Raises `PublishRefused` as `revision_document`, and if a private key cannot be opened.
    """
    whole = revision_document(revision)
    _refuse_sealed(whole)
    return compile_document(whole, revision.number)


def app_names() -> set[str]:
    """The Apps that policies can be attached to."""
    return set(App.objects.values_list("name", flat=True))


def _draft() -> document.Document:
    try:
        return draft_document()
    except msgspec.ValidationError as error:
        problem = Problem("draft", "", f"holds a row that was written past validation: {error}")
        raise PublishRefused([problem]) from None


def _publish(draft: document.Document, note: str, author: str) -> Published:
    live = live_revision()
    number = live.number + 1 if live else 1
    snapshot, problems = check(draft, app_names(), number)
    if snapshot is None:
        raise PublishRefused(problems)
    changes = differences(_readable(live), draft)
    revision = Revision.objects.create(
        number=number,
        author=author[:200],
        note=note,
        document=msgspec.json.encode(plain(sealed_document(draft))).decode(),
        digest=snapshot_digest(snapshot),
        changes=[str(change) for change in changes[:MAX_CHANGES]],
    )
    return Published(revision, changes, warnings_of(draft, snapshot))


def _refuse_sealed(whole: document.Document) -> None:
    problems = sealed_problems(whole)
    if problems:
        raise PublishRefused(problems)


def _readable(live: Revision | None) -> document.Document:
    """A live Revision that cannot be read any more is no reason against the next one."""
    try:
        return revision_document(live) if live else document.Document()
    except PublishRefused:
        return document.Document()


def _with_identities_of_today(old: document.Document, draft: document.Document) -> document.Document:
    apps = app_names()
    plans, apis = {row.name for row in old.plans}, {row.slug for row in old.apis}
    used_plans = set(Subscription.objects.values_list("plan__name", flat=True)) - plans
    used_apis = set(Subscription.objects.values_list("api__slug", flat=True)) - apis
    kept_plans = (row for row in draft.plans if row.name in used_plans)
    return document.canonical(
        msgspec.structs.replace(
            old,
            policies=tuple(row for row in old.policies if not row.app or row.app in apps),
            plans=(*old.plans, *(_sold_among(row, apis | used_apis) for row in kept_plans)),
            apis=(*old.apis, *(_retired(row) for row in draft.apis if row.slug in used_apis)),
        )
    )


def _sold_among(plan: document.Plan, slugs: set[str]) -> document.Plan:
    return msgspec.structs.replace(plan, apis=tuple(slug for slug in plan.apis or () if slug in slugs))


def _retired(api: document.Api) -> document.Api:
    return msgspec.structs.replace(api, lifecycle="retired", routes=(), policies=())
