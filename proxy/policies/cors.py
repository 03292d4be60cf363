"""The policy `cors`."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from proxy.exchange import Exchange, Header, Response
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_EXACT = re.compile(r"[A-Za-z0-9._:/-]+|[A-Za-z0-9+.-]+://\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_WILDCARD = re.compile(r"([A-Za-z0-9+.-]+://)?\*\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)(:[0-9]+)?")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
_CACHE_SIZE = 1024
_LONGEST_ORIGIN = 300

_ALLOW_ORIGIN = b"access-control-allow-origin"
_CREDENTIALS: Header = (b"access-control-allow-credentials", b"true")
_PRIVATE_NETWORK: Header = (b"access-control-allow-private-network", b"true")
_ALWAYS_OURS = frozenset((_ALLOW_ORIGIN, _CREDENTIALS[0]))
_PREFLIGHT_ONLY = frozenset(
    (
        b"access-control-allow-methods",
        b"access-control-allow-headers",
        b"access-control-max-age",
        _PRIVATE_NETWORK[0],
    )
)
_METHODS = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT")


class Cors(Policy):
    """Let web pages of other origins call the API (CORS).

    Preflight requests are answered here, before anybody is asked for a key, on Routes that take OPTIONS
    (those without `methods` do); every other answer, errors included, gets the headers that the page's
    browser needs. What the upstream says about allowed origins is replaced. An origin is written as
    `https://shop.example`, as `https://*.shop.example` for all names below it, as `*` for any, or as a
    regular expression that must match the whole origin (or, if it has no colon, the whole host). A name
    without `https://` stands for any scheme and port.
    """

    name = "cors"
    stage = Stage.RECEIVE
    rank = 10

    class Config(PolicyConfig, frozen=True):
        """Who may call from where, and with what."""

        origins: Annotated[
            tuple[Annotated[str, Meta(min_length=1, max_length=300)], ...],
            Meta(
                description="Origins whose pages may call: exact, `https://*.name`, expressions, or `*`.",
                examples=[["https://shop.example", "https://*.shop.example"]],
                min_length=1,
            ),
        ] = ("*",)
        methods: Annotated[
            tuple[str, ...],
            Meta(description="Methods that pages may use.", examples=[["GET", "POST"]], min_length=1),
        ] = _METHODS
        headers: Annotated[
            tuple[str, ...],
            Meta(
                description="Request headers that pages may set; empty allows those that they ask for.",
                examples=[["content-type", "x-api-key"]],
            ),
        ] = ()
        exposed_headers: Annotated[
            tuple[str, ...],
            Meta(
                description="Response headers that pages may read; empty leaves it to the upstream.",
                examples=[["x-request-id"]],
            ),
        ] = ()
        credentials: Annotated[
            bool, Meta(description="Let pages send cookies and other credentials of their browser.")
        ] = False
        max_age: Annotated[
            int | None,
            Meta(description="Seconds for which browsers may keep a preflight's answer.", examples=[600]),
        ] = None
        private_network: Annotated[
            bool, Meta(description="Let pages of public sites call this API on a private network.")
        ] = False
        preflight_continue: Annotated[
            bool, Meta(description="Leave the answer to preflight requests to the upstream.")
        ] = False

        def check(self) -> None:
            """Origins can be read, names are tokens, and credentials never go with any origin."""
            for index, origin in enumerate(self.origins):
                _pattern(origin, f"origins[{index}]")
                if self.credentials and origin in ("*", "null"):
                    raise Invalid(
                        f"With credentials {origin!r} lets any page act for its visitor: list the origins.",
                        f"origins[{index}]",
                    )
            for field in ("methods", "headers", "exposed_headers"):
                for index, name in enumerate(getattr(self, field)):
                    if not _TOKEN.fullmatch(name):
                        raise Invalid(f"{name!r} is not a name that HTTP allows.", f"{field}[{index}]")
            if self.max_age is not None and not 0 <= self.max_age <= 86_400 * 365:
                raise Invalid("Give between 0 seconds and a year.", "max_age")

    config: Config

    def setup(self) -> None:
        """Compile the origins and write all headers that do not depend on the request."""
        config = self.config
        self._exact: set[bytes] = set()
        self._hosts: set[bytes] = set()
        self._by_origin: list[re.Pattern[bytes]] = []
        self._by_host: list[re.Pattern[bytes]] = []
        self._constant = self._constant_origin()
        if self._constant is None:
            for origin in config.origins:
                self._add(origin)
        self._varies = self._constant != b"*"
        self._answers: dict[bytes, bytes | None] = {}
        self._credentials: list[Header] = [_CREDENTIALS] if config.credentials else []
        self._exposed: list[Header] = []
        if config.exposed_headers:
            self._exposed = [(b"access-control-expose-headers", ",".join(config.exposed_headers).encode())]
        self._ours = _ALWAYS_OURS | {name for name, _ in self._exposed}
        self._preflight: list[Header] = [(b"access-control-allow-methods", ",".join(config.methods).encode())]
        if config.max_age is not None:
            self._preflight.append((b"access-control-max-age", str(config.max_age).encode()))
        self._allowed_headers = ",".join(config.headers).encode()

    def on_request(self, x: Exchange) -> Response | None:
        """Answer a preflight request."""
        if x.method != b"OPTIONS" or self.config.preflight_continue or not _is_preflight(x):
            return None
        headers: list[Header] = [(b"vary", b"Origin")] if self._varies else []
        origin = self._allowed(x)
        if origin is not None:
            headers += [(_ALLOW_ORIGIN, origin), *self._credentials, *self._preflight]
            allowed = self._allowed_headers or x.header(b"access-control-request-headers")
            if allowed:
                headers.append((b"access-control-allow-headers", allowed))
            if self.config.private_network and x.header(b"access-control-request-private-network") == b"true":
                headers.append(_PRIVATE_NETWORK)
        return Response(200, headers)

    def on_response(self, x: Exchange) -> None:
        """Say on every other answer whether the page may read it."""
        head = x.response
        if head is None or not self.enforce:
            return
        ours = self._ours
        if x.method == b"OPTIONS" and _is_preflight(x):
            if not self.config.preflight_continue:
                return
        else:
            ours = ours | _PREFLIGHT_ONLY
        headers = [pair for pair in head.headers if pair[0] not in ours]
        origin = self._allowed(x)
        if origin is not None:
            headers.append((_ALLOW_ORIGIN, origin))
            headers += self._credentials
            headers += self._exposed
        if self._varies and not _varies_by_origin(headers):
            headers.append((b"vary", b"Origin"))
        head.headers = headers

    def _constant_origin(self) -> bytes | None:
        """What is allowed whoever asks: `*`, or the only origin there is."""
        origins = self.config.origins
        if "*" in origins:
            return b"*"
        if len(origins) == 1 and _EXACT.fullmatch(origins[0]):
            return origins[0].encode()
        return None

    def _add(self, origin: str) -> None:
        pattern = _pattern(origin, "origins")
        if pattern is None:
            exact = origin.lower().encode()
            (self._exact if b"://" in exact or exact == b"null" else self._hosts).add(_without_port(exact))
        elif ":" in pattern.pattern.decode().replace("(?:", "("):
            self._by_origin.append(pattern)
        else:
            self._by_host.append(pattern)

    def _allowed(self, x: Exchange) -> bytes | None:
        """The value of Access-Control-Allow-Origin for this request, None if its origin is not allowed."""
        if self._constant is not None:
            return self._constant
        origin = x.header(b"origin")
        if origin is None or len(origin) > _LONGEST_ORIGIN:
            return None
        if origin in self._answers:
            return self._answers[origin]
        normal = _without_port(origin)
        answer = normal if self._matches(normal.lower()) else None
        if len(self._answers) >= _CACHE_SIZE:
            self._answers.clear()
        self._answers[origin] = answer
        return answer

    def _matches(self, origin: bytes) -> bool:
        host = _host(origin)
        return (
            origin in self._exact
            or host in self._hosts
            or origin.partition(b"://")[2] in self._hosts
            or any(pattern.fullmatch(origin) for pattern in self._by_origin)
            or any(pattern.fullmatch(host) for pattern in self._by_host)
        )


def _pattern(origin: str, field: str) -> re.Pattern[bytes] | None:
    """The compiled expression of an origin that is one; None for `*` and exact ones."""
    if origin == "*" or _EXACT.fullmatch(origin):
        return None
    wildcard = _WILDCARD.fullmatch(origin)
    if wildcard:
        scheme, name, port = wildcard.groups()
        start = re.escape(scheme) if scheme else "[a-z0-9+.-]+://" if port else ""
        origin = f"{start}(?:[a-z0-9_-]+\\.)+{re.escape(name.lower())}{port or ''}"
    try:
        return re.compile(origin.encode("ascii"), re.IGNORECASE)
    except (re.error, UnicodeEncodeError, RecursionError, OverflowError) as error:
        raise Invalid(f"{origin!r} is neither an origin nor a regular expression: {error}", field) from None


def _is_preflight(x: Exchange) -> bool:
    """Whether an OPTIONS request is a CORS preflight (Fetch standard, section 3.3.2)."""
    return x.header(b"origin") is not None and x.header(b"access-control-request-method") is not None


def _without_port(origin: bytes) -> bytes:
    """The origin as browsers write it: without the scheme's default port."""
    port = _DEFAULT_PORTS.get(origin.partition(b"://")[0].lower())
    return origin.removesuffix(port) if port else origin


def _host(origin: bytes) -> bytes:
    host = origin.partition(b"://")[2]
    return host if host.endswith(b"]") else re.sub(rb":[0-9]+\Z", b"", host)


def _varies_by_origin(headers: list[Header]) -> bool:
    return any(
        token.strip().lower() in (b"origin", b"*")
        for name, value in headers
        if name == b"vary"
        for token in value.split(b",")
    )
