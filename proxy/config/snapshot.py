"""The compiled configuration: the only configuration that the data plane sees.

The compiler (`proxy.config.compile`) turns database rows into a `Snapshot`; the node store writes it to
disk as checksummed msgpack; workers read it. Every struct is frozen: a publish replaces the whole.
Durations are seconds, sizes are bytes, names are unique within their kind.
"""

from typing import Literal

import msgspec

SCHEMA = 1

PathKind = Literal["exact", "prefix", "template", "regex"]
ValueKind = Literal["exact", "regex", "present"]
Scope = Literal["global", "api", "route", "plan", "consumer"]
Mode = Literal["enforce", "observe", "off"]
Protocol = Literal["http", "https", "h2", "h2c"]
Algorithm = Literal["round-robin"]


class Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every configuration struct."""


class PathMatch(Frozen, frozen=True):
    """How a path is matched: `exact` /a, `prefix` /a (whole segments), `template` /a/{id}, `regex`."""

    kind: PathKind = "prefix"
    value: str = "/"


class ValueMatch(Frozen, frozen=True):
    """A header or query parameter that must be there, with that value."""

    name: str
    value: str = ""
    kind: ValueKind = "exact"


class Redirect(Frozen, frozen=True):
    """Answer with a redirect instead of forwarding; what is empty is kept from the request."""

    status: Literal[301, 302, 303, 307, 308] = 302
    scheme: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    replace_prefix: str | None = None


class Route(Frozen, frozen=True):
    """One match rule of an Api and where it goes; `order` counts up with age (oldest wins a tie)."""

    name: str
    api: str
    path: PathMatch = PathMatch()
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    order: int = 0
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
    retired: bool = False
    """Of a retired Api: takes only what no Route that is in service takes."""


class Api(Frozen, frozen=True):
    """A product surface; its Routes carry its hosts and base path already."""

    slug: str
    version: str = "v1"
    title: str = ""
    lifecycle: Literal["draft", "published", "deprecated", "retired"] = "published"


class Target(Frozen, frozen=True):
    """One instance of an Upstream. A weight of 0 takes it out; a lower priority number is used first."""

    host: str
    port: int
    weight: int = 100
    zone: str = ""
    priority: int = 0

    @property
    def label(self) -> str:
        """`host:port`, the name of the instance in records and metrics."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class HealthCheck(Frozen, frozen=True):
    """Active probe of every Target by the node agent; `interval` 0 turns it off."""

    path: str = "/"
    interval: float = 0.0
    timeout: float = 1.0
    healthy_after: int = 2
    unhealthy_after: int = 3
    statuses: tuple[int, ...] = (200, 204, 301, 302)


class OutlierEjection(Frozen, frozen=True):
    """Targets that fail calls in a row get none for a while; `failures` 0 turns it off.

    A failure is a connection that does not come about or breaks before the answer, an answer that does not
    begin in time or is no HTTP, or one with one of these statuses.
    """

    failures: int = 5
    base_seconds: float = 30.0
    max_percent: int = 50
    statuses: tuple[int, ...] = (502, 503, 504)


class Upstream(Frozen, frozen=True):
    """A service and its instances. `retries` counts further tries; `retry_budget` is a share of requests."""

    name: str
    targets: tuple[Target, ...] = ()
    protocol: Protocol = "http"
    algorithm: Algorithm = "round-robin"
    connect_timeout: float = 2.0
    first_byte_timeout: float = 30.0
    idle_timeout: float = 60.0
    keepalive_timeout: float = 60.0
    max_connections: int = 512
    max_pending: int = 1024
    retries: int = 1
    retry_budget: float = 0.2
    host_header: str = ""
    tls_verify: bool = True
    tls_ca: str = ""
    tls_server_name: str = ""
    health: HealthCheck = HealthCheck()
    outlier: OutlierEjection = OutlierEjection()


class Policy(Frozen, frozen=True):
    """One attached policy: `name` is the policy file's name, `label` tells instances apart."""

    name: str
    label: str
    scope: Scope = "global"
    subject: str = ""
    mode: Mode = "enforce"
    when: str = ""
    position: int = 0
    config: dict[str, object] = {}


class Plan(Frozen, frozen=True):
    """Limits sold as one name; they are the policies whose scope is this plan."""

    name: str
    title: str = ""


class Certificate(Frozen, frozen=True):
    """A certificate chain and private key (PEM), chosen by SNI; no names means the default one."""

    name: str
    names: tuple[str, ...] = ()
    chain: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Certificate({self.name!r})"


class Limits(Frozen, frozen=True):
    """Bounds of what a client may send and for how long (reference: `docs/limits.md`)."""

    header_bytes: int = 32 * 1024
    header_line_bytes: int = 8 * 1024
    header_count: int = 100
    body_bytes: int = 10 * 1024 * 1024
    buffer_bytes: int = 1024 * 1024
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    body_min_rate: int = 1024
    keepalive_timeout: float = 75.0
    idle_timeout: float = 60.0
    tls_handshake_timeout: float = 10.0
    websocket_message_bytes: int = 1024 * 1024
    websocket_ping_interval: float = 20.0
    websocket_ping_timeout: float = 20.0
    drain_timeout: float = 30.0


class Snapshot(Frozen, frozen=True):
    """One published configuration, compiled. `revision` rises with every publish."""

    revision: int = 0
    schema: int = SCHEMA
    apis: tuple[Api, ...] = ()
    routes: tuple[Route, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    policies: tuple[Policy, ...] = ()
    plans: tuple[Plan, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    limits: Limits = Limits()
    trusted_proxies: tuple[str, ...] = ()
    forwarded_header: Literal["x-forwarded", "forwarded"] = "x-forwarded"
