"""The configuration as people write it: one document, everything by name, no ids.

The YAML file, the draft in the database and every stored Revision have this one structure; validation and
the compiler work on it alone. Order matters for Apis and Routes: between rules that match equally well,
the one further up wins.
"""

from __future__ import annotations

import datetime
from typing import Literal, TypeVar

import msgspec

from proxy.config.snapshot import Frozen, Mode, PathMatch, Redirect, Scope, Upstream, ValueMatch

FORMAT = 1
UNCHANGED = "(unchanged)"
"""Stands for a secret that is not shown; applying it keeps what is stored."""

Lifecycle = Literal["draft", "published", "deprecated", "retired"]
Visibility = Literal["public", "private"]
Approval = Literal["auto", "manual"]
Owner = TypeVar("Owner", "Plan", "Api", "Route")


class Policy(Frozen, frozen=True):
    """A policy where it is attached; `app` is for the list at the top only and makes it that App's own.

    Without a label it is called after the policy and its subject; two of a kind at one place need labels.
    """

    name: str
    label: str = ""
    mode: Mode = "enforce"
    when: str = ""
    position: int = 0
    app: str = ""
    config: dict[str, object] = {}


class Route(Frozen, frozen=True):
    """A match rule and where it goes: `upstream` or `redirect`; the path is below the Api's base path."""

    name: str
    path: PathMatch = PathMatch()
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    upstream: str = ""
    redirect: Redirect | None = None
    strip_prefix: bool = False
    rewrite_path: str | None = None
    preserve_host: bool = False
    websocket: bool = True
    body_bytes: int | None = None
    request_timeout: float | None = None
    first_byte_timeout: float | None = None
    allow_encoded: bool = False
    enabled: bool = True
    policies: tuple[Policy, ...] = ()


class Api(Frozen, frozen=True):
    """A product surface: its Routes answer on its hosts (any, if none is given) below its base path.

    The two days, in UTC, are told to clients while it is `deprecated`; `sunset_at` is the last one.
    """

    slug: str
    version: str = "v1"
    title: str = ""
    description: str = ""
    hosts: tuple[str, ...] = ()
    base_path: str = "/"
    lifecycle: Lifecycle = "published"
    deprecated_at: datetime.date | None = None
    sunset_at: datetime.date | None = None
    documentation_url: str = ""
    visibility: Visibility = "private"
    tags: tuple[str, ...] = ()
    openapi: str = ""
    policies: tuple[Policy, ...] = ()
    routes: tuple[Route, ...] = ()


class Plan(Frozen, frozen=True):
    """Limits sold as one name; `approval` says whether a Subscription needs an admin's yes.

    `apis` are the slugs of the Apis that it is sold on; None, in a file, stands for all Apis of the document
    (`canonical` puts them in its place), and an empty list for none.
    """

    name: str
    title: str = ""
    description: str = ""
    approval: Approval = "auto"
    apis: tuple[str, ...] | None = None
    policies: tuple[Policy, ...] = ()


class Certificate(Frozen, frozen=True):
    """A certificate chain and its private key, both PEM; the names it serves are read from the chain."""

    name: str
    chain: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Certificate({self.name!r})"


class Gateway(Frozen, frozen=True):
    """Settings of the gateway as a whole; `limits` holds only what differs from the defaults."""

    limits: dict[str, int | float] = {}
    trusted_proxies: tuple[str, ...] = ()
    forwarded_header: Literal["x-forwarded", "forwarded"] = "x-forwarded"


class Document(Frozen, frozen=True):
    """The whole configuration; `policies` are those for every request and those of single Apps."""

    gateway: Gateway = Gateway()
    upstreams: tuple[Upstream, ...] = ()
    plans: tuple[Plan, ...] = ()
    apis: tuple[Api, ...] = ()
    policies: tuple[Policy, ...] = ()
    certificates: tuple[Certificate, ...] = ()


def label_of(policy: Policy, scope: Scope, subject: str) -> str:
    """A policy's label; without one it is `name` for global ones, else `name.scope.subject`."""
    return policy.label or (policy.name if scope == "global" else f"{policy.name}.{scope}.{subject}")


def canonical(whole: Document) -> Document:
    """The same configuration with everything whose order means nothing sorted by name, and what Plans are
    sold on by name too."""
    everywhere = tuple(sorted({api.slug for api in whole.apis}))
    return msgspec.structs.replace(
        whole,
        upstreams=tuple(sorted((_sorted_targets(row) for row in whole.upstreams), key=lambda row: row.name)),
        plans=tuple(sorted((_sorted_plan(row, everywhere) for row in whole.plans), key=lambda row: row.name)),
        apis=tuple(_sorted_api(api) for api in whole.apis),
        policies=_in_order(whole.policies),
        certificates=tuple(sorted(whole.certificates, key=lambda row: row.name)),
    )


def _sorted_targets(upstream: Upstream) -> Upstream:
    targets = sorted(upstream.targets, key=lambda target: (target.priority, target.host, target.port))
    return msgspec.structs.replace(upstream, targets=tuple(targets))


def _sorted_plan(plan: Plan, everywhere: tuple[str, ...]) -> Plan:
    apis = everywhere if plan.apis is None else tuple(sorted(plan.apis))
    return msgspec.structs.replace(_sorted_policies(plan), apis=apis)


def _sorted_api(api: Api) -> Api:
    api = _sorted_policies(api)
    return msgspec.structs.replace(api, routes=tuple(_sorted_policies(route) for route in api.routes))


def _sorted_policies(owner: Owner) -> Owner:
    if len(owner.policies) < 2:
        return owner
    return msgspec.structs.replace(owner, policies=_in_order(owner.policies))


def _in_order(policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    return tuple(sorted(policies, key=lambda row: (row.app, row.position, row.name, row.label)))
