"""The configuration as people write it: one document, everything by name, no ids.

The YAML file, the draft in the database and every stored Revision have this one structure; validation and
the compiler work on it alone. Order matters for Apis and Routes: between rules that match equally well,
the one further up wins.
"""

from __future__ import annotations

from typing import Literal

from proxy.config.snapshot import Frozen, Mode, PathMatch, Redirect, Upstream, ValueMatch

FORMAT = 1
UNCHANGED = "(unchanged)"
"""Stands for a secret that is not shown; applying it keeps what is stored."""

Lifecycle = Literal["draft", "published", "deprecated", "retired"]
Visibility = Literal["public", "private"]
Approval = Literal["auto", "manual"]


class Policy(Frozen):
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


class Route(Frozen):
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


class Api(Frozen):
    """A product surface: its Routes answer on its hosts (any, if none is given) below its base path."""

    slug: str
    version: str = "v1"
    title: str = ""
    description: str = ""
    hosts: tuple[str, ...] = ()
    base_path: str = "/"
    lifecycle: Lifecycle = "published"
    visibility: Visibility = "private"
    tags: tuple[str, ...] = ()
    openapi: str = ""
    policies: tuple[Policy, ...] = ()
    routes: tuple[Route, ...] = ()


class Plan(Frozen):
    """Limits sold as one name; `approval` says whether a Subscription needs an admin's yes."""

    name: str
    title: str = ""
    description: str = ""
    approval: Approval = "auto"
    policies: tuple[Policy, ...] = ()


class Certificate(Frozen):
    """A certificate chain and its private key, both PEM; the names it serves are read from the chain."""

    name: str
    chain: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Certificate({self.name!r})"


class Gateway(Frozen):
    """Settings of the gateway as a whole; `limits` holds only what differs from the defaults."""

    limits: dict[str, int | float] = {}
    trusted_proxies: tuple[str, ...] = ()
    forwarded_header: Literal["x-forwarded", "forwarded"] = "x-forwarded"


class Document(Frozen):
    """The whole configuration; `policies` are those for every request and those of single Apps."""

    gateway: Gateway = Gateway()
    upstreams: tuple[Upstream, ...] = ()
    plans: tuple[Plan, ...] = ()
    apis: tuple[Api, ...] = ()
    policies: tuple[Policy, ...] = ()
    certificates: tuple[Certificate, ...] = ()
