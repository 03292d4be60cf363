"""Builds the objects that tests of the data plane start from, without a socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from proxy.config.snapshot import Route
from proxy.counters.base import CounterStore
from proxy.exchange import Exchange, Header, Response, UpstreamHead
from proxy.identity.model import Identity
from proxy.pipeline.policy import Policy
from proxy.pipeline.services import Services

P = TypeVar("P", bound=Policy)
HeaderMap = Mapping[str, str | bytes | list[str]] | Iterable[tuple[bytes, bytes]]


class Matched:
    """What policies see of a compiled Route: its configuration."""

    def __init__(self, config: Route) -> None:
        self.config = config


class Keys:
    """An identity store in a dict: raw key to identity; counts the look-ups."""

    def __init__(self, known: Mapping[bytes, Identity] | None = None) -> None:
        self.known = dict(known or {})
        self.lookups = 0

    def lookup(self, raw: bytes) -> Identity | None:
        self.lookups += 1
        return self.known.get(raw)


def make_identity(
    app: str = "bob",
    *,
    groups: tuple[str, ...] = (),
    plans: dict[str, str] | None = None,
    credential_id: str = "cred-1",
    app_id: str = "app-1",
) -> Identity:
    """The caller `bob`, or another."""
    return Identity(
        credential_id=credential_id, app_id=app_id, app=app, groups=groups, plans=plans or {}, expires=0.0
    )


def header_list(headers: HeaderMap | None) -> list[Header]:
    """Header lines from `{"Name": "value"}`, `{"Name": ["several", "lines"]}` or pairs of bytes."""
    if headers is None:
        return []
    if not isinstance(headers, Mapping):
        return list(headers)
    lines: list[Header] = []
    for name, value in headers.items():
        for one in value if isinstance(value, list) else [value]:
            lines.append((name.lower().encode(), one if isinstance(one, bytes) else one.encode("latin-1")))
    return lines


def make_exchange(
    method: str = "GET",
    path: str = "/",
    headers: HeaderMap | None = None,
    *,
    client_ip: str = "127.0.0.1",
    identity: Identity | None = None,
    plan: str = "",
    api: str = "shop",
    route: str = "shop-products",
    host: str = "api.example.test",
    **attributes: Any,
) -> Exchange:
    """An Exchange as the core hands it to the chain; `path` may carry a query, the rest is set as given."""
    x = Exchange()
    x.method = method.encode()
    x.target = path.encode("latin-1")
    x.path, _, x.query = x.target.partition(b"?")
    x.host = x.authority = host.encode()
    x.headers = header_list(headers)
    x.forward = x.headers
    x.peer = x.client_ip = client_ip
    x.request_id = b"0123456789abcdef"
    x.identity = identity
    x.plan = plan
    x.route = Matched(Route(name=route, api=api))  # type: ignore[assignment]
    for name, value in attributes.items():
        setattr(x, name, value)
    return x


def respond(
    x: Exchange, policy: Policy, status: int = 200, headers: HeaderMap | None = None
) -> dict[str, list[str]]:
    """Let a policy see an answer with this head; returns the headers that it made of it."""
    x.response = UpstreamHead(status, header_list(headers), 0)
    policy.on_response(x)
    return by_name(x.response.headers)


def by_name(headers: list[Header]) -> dict[str, list[str]]:
    """Header values by name, in order."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return found


def forwarded(x: Exchange) -> dict[str, list[str]]:
    """The headers that go upstream."""
    return by_name(x.forward)


def make_services(identities: Any = None, counters: CounterStore | None = None) -> Services:
    """Services with the given stores only."""
    return Services(counters=counters, identities=identities)  # type: ignore[arg-type]


def make_policy(
    kind: type[P], config: dict[str, Any] | None = None, *, identities: Any = None, enforce: bool = True
) -> P:
    """A policy from plain configuration data, checked as the registry does it."""
    decoded = msgspec.convert(config or {}, kind.Config)
    decoded.check()
    return kind(decoded, make_services(identities), enforce=enforce)


def refusal(result: Any) -> Response:
    """The answer that a hook gave; fails if it let the request go on."""
    assert isinstance(result, Response), f"expected a Response, got {result!r}"
    return result
