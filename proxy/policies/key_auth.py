"""The policy `key-auth`."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import unquote_to_bytes

from msgspec import Meta

from proxy.exchange import Exchange, Header, Response, problem
from proxy.identity.database import IdentityUnavailable
from proxy.identity.model import Identity
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_REALM = re.compile(r"[ !#-\[\]-~]*")
_CONTROLS = bytes([*range(32), 127])
_OWNED = (
    b"x-consumer-id",
    b"x-consumer-username",
    b"x-consumer-groups",
    b"x-credential-identifier",
    b"x-anonymous-consumer",
)
_ANONYMOUS: list[Header] = [(b"x-anonymous-consumer", b"true")]
_LONGEST_KEY = 512
_CACHE_SIZE = 4096


class KeyAuth(Policy):
    """Let in callers that show a valid API key.

    The key is looked for in the headers called `names`, and if you allow it in query parameters of the
    same names or as `Authorization: Bearer KEY`. Exactly one key must be shown. A malformed, unknown,
    expired or revoked key gets the same answer, so that nobody learns from it which keys exist.

    The upstream learns who calls from `x-consumer-id`, `x-consumer-username`, `x-consumer-groups` and
    `x-credential-identifier`; clients cannot set these. The key itself is taken out of the request unless
    `hide_credentials` is off. With `optional` a request without any key passes as anonymous, marked by
    `x-anonymous-consumer: true`; a bad key never does. In observe mode a valid key still identifies the
    caller, and the request goes on unchanged.
    """

    name = "key-auth"
    stage = Stage.IDENTIFY
    rank = 50

    class Config(PolicyConfig, frozen=True):
        """Where keys may be and what becomes of them."""

        names: Annotated[
            tuple[str, ...],
            Meta(
                description="Names of headers (and query parameters) that may hold the key.",
                examples=[["x-api-key", "apikey"]],
                min_length=1,
                max_length=8,
            ),
        ] = ("x-api-key",)
        header: Annotated[bool, Meta(description="Look for the key in request headers.")] = True
        query: Annotated[
            bool,
            Meta(description="Look for the key in the query too; such keys end up in logs and histories."),
        ] = False
        bearer: Annotated[
            bool, Meta(description="Accept the key as `Authorization: Bearer KEY` as well.")
        ] = False
        hide_credentials: Annotated[
            bool, Meta(description="Take the key out of the request before it goes to the upstream.")
        ] = True
        optional: Annotated[bool, Meta(description="Let requests that show no key pass as anonymous.")] = (
            False
        )
        run_on_preflight: Annotated[bool, Meta(description="Ask for a key on OPTIONS requests too.")] = True
        realm: Annotated[
            str,
            Meta(
                description="Realm named in the `WWW-Authenticate` header.", examples=["shop"], max_length=100
            ),
        ] = ""

        def check(self) -> None:
            """Names are header names, and there is a place to look at."""
            for index, name in enumerate(self.names):
                if not _TOKEN.fullmatch(name):
                    raise Invalid(f"{name!r} is not a header name.", f"names[{index}]")
                if name.lower() in ("authorization", "host", "cookie") or name.lower().encode() in _OWNED:
                    raise Invalid(f"{name!r} cannot hold a key.", f"names[{index}]")
            if not (self.header or self.query or self.bearer):
                raise Invalid("Switch on at least one of header, query and bearer.")
            if not _REALM.fullmatch(self.realm):
                raise Invalid("A realm is printable ASCII without quotes and backslashes.", "realm")

    config: Config

    def setup(self) -> None:
        """Precompute the names and the challenge."""
        config = self.config
        self._names = frozenset(name.lower().encode() for name in config.names)
        self._parameters = frozenset(name.encode() for name in config.names)
        self._dropped = frozenset(_OWNED)
        if config.hide_credentials and config.header:
            self._dropped |= self._names
        realm = f' realm="{config.realm}"' if config.realm else ""
        self._challenge: list[Header] = [(b"www-authenticate", f"Key{realm}".encode())]
        if config.bearer:
            self._challenge.append((b"www-authenticate", f"Bearer{realm}".encode()))
        self._consumers: dict[str, tuple[Identity, list[Header]]] = {}
        self._name = next(iter(self._names))
        # One header and nothing else is what most Routes ask for: found once per head, not per request.
        self._short = len(self._names) == 1 and config.header and not (config.query or config.bearer)
        identities = self.services.identities
        self._look_up = identities.lookup if identities is not None else _nobody

    def on_request(self, x: Exchange) -> Response | None:
        """Find the one key and who it belongs to."""
        memo = x.memo
        if memo is None or not self._short or x.forward is not x.headers:
            return self._look(x)
        shown = memo.get(self)
        if shown is None:
            shown = memo[self] = self._shown(x)
        if shown is _NOT_PLAIN:
            return self._look(x)
        try:
            identity = self._look_up(shown.key)
        except IdentityUnavailable:
            return _unavailable()
        if identity is None:
            return self._refuse("key-invalid", "Unauthorized")
        if identity is not shown.identity:
            shown.identity = identity
            shown.forward = shown.kept + self._consumer_headers(identity) if self.enforce else x.headers
            shown.plan = _plan(identity, x)
        x.identity = identity
        x.forward = shown.forward
        x.plan = shown.plan
        return None

    def _look(self, x: Exchange) -> Response | None:
        """The same for a head that did not come before, or where the key may be in several places."""
        if x.method == b"OPTIONS" and not self.config.run_on_preflight:
            self._pass_on(x, [])
            return None
        keys = self._keys(x)
        if len(keys) == 1:
            return self._identify(x, keys[0])
        if keys:
            return self._refuse("key-duplicate", "Duplicate API key found")
        if not self.config.optional:
            return self._refuse("key-missing", "No API key found in request")
        self._pass_on(x, _ANONYMOUS)
        return None

    def _keys(self, x: Exchange) -> list[bytes]:
        """All keys that the request shows."""
        config = self.config
        keys = [value for name, value in x.headers if name in self._names and value] if config.header else []
        if config.query and x.query:
            keys += [value for name, value in _parameters(x.query) if name in self._parameters and value]
        return keys + _bearer_tokens(x) if config.bearer else keys

    def _shown(self, x: Exchange) -> _Shown:
        """The one key and what goes upstream without it, if it is that simple."""
        keys = [value for name, value in x.headers if name == self._name and value]
        exempt = x.method == b"OPTIONS" and not self.config.run_on_preflight
        if len(keys) != 1 or len(keys[0]) > _LONGEST_KEY or exempt:
            return _NOT_PLAIN
        return _Shown(keys[0], [pair for pair in x.headers if pair[0] not in self._dropped])

    def _identify(self, x: Exchange, key: bytes) -> Response | None:
        try:
            identity = self._look_up(key) if len(key) <= _LONGEST_KEY else None
        except IdentityUnavailable:
            return _unavailable()
        if identity is None:
            return self._refuse("key-invalid", "Unauthorized")
        x.identity = identity
        x.plan = _plan(identity, x)
        self._pass_on(x, self._consumer_headers(identity))
        return None

    def _refuse(self, code: str, detail: str) -> Response:
        return problem(401, code, detail, headers=list(self._challenge))

    def _pass_on(self, x: Exchange, consumer: list[Header]) -> None:
        """Tell the upstream who calls and hide the key, unless this only observes."""
        if not self.enforce:
            return
        dropped = self._dropped
        forward = [pair for pair in x.forward if pair[0] not in dropped]
        if not self._short and self.config.hide_credentials:
            if self.config.query and x.query:
                self._hide_parameters(x)
            if self.config.bearer:
                forward = [pair for pair in forward if pair[0] != b"authorization" or _token(pair[1]) is None]
        x.forward = forward + consumer

    def _hide_parameters(self, x: Exchange) -> None:
        query = x.query if x.upstream_query is None else x.upstream_query
        kept = [part for part in query.split(b"&") if _parameter(part)[0] not in self._parameters]
        x.upstream_query = b"&".join(kept)

    def _consumer_headers(self, identity: Identity) -> list[Header]:
        known = self._consumers.get(identity.credential_id)
        if known is None or known[0] is not identity:
            if len(self._consumers) >= _CACHE_SIZE:
                self._consumers.clear()
            known = self._consumers[identity.credential_id] = (identity, _describe(identity))
        return known[1]


class _Shown:
    """The key that a head shows, and what came of it for the caller whom it named last."""

    __slots__ = ("forward", "identity", "kept", "key", "plan")

    def __init__(self, key: bytes, kept: list[Header]) -> None:
        self.key = key
        self.kept = kept
        self.identity: Identity | None = None
        self.forward = kept
        self.plan = ""


_NOT_PLAIN = _Shown(b"", [])


def _nobody(key: bytes) -> Identity | None:
    raise IdentityUnavailable


def _unavailable() -> Response:
    return problem(503, "identities-unavailable", "Callers cannot be identified now.")


def _plan(identity: Identity, x: Exchange) -> str:
    return identity.plans.get(x.route.config.api, "") if identity.plans and x.route is not None else ""


def _describe(identity: Identity) -> list[Header]:
    """What the upstream is told of a caller; a comma in a group's name must not make two groups of it."""
    headers = [
        (b"x-consumer-id", _clean(identity.app_id)),
        (b"x-consumer-username", _clean(identity.app)),
        (b"x-credential-identifier", _clean(identity.credential_id)),
    ]
    if identity.groups:
        groups = b", ".join(_clean(group).replace(b",", b"%2C") for group in identity.groups)
        headers.append((b"x-consumer-groups", groups))
    return headers


def _clean(text: str) -> bytes:
    return text.encode("utf-8", "replace").translate(None, _CONTROLS)


def _parameters(query: bytes) -> list[tuple[bytes, bytes]]:
    return [_parameter(part) for part in query.split(b"&")]


def _parameter(part: bytes) -> tuple[bytes, bytes]:
    """Name and value of one query parameter, decoded."""
    name, _, value = part.partition(b"=")
    if b"%" in part or b"+" in part:
        return unquote_to_bytes(name.replace(b"+", b" ")), unquote_to_bytes(value.replace(b"+", b" "))
    return name, value


def _bearer_tokens(x: Exchange) -> list[bytes]:
    found = [_token(value) for name, value in x.headers if name == b"authorization"]
    return [token for token in found if token]


def _token(value: bytes) -> bytes | None:
    """The token of a `Bearer` credential (RFC 6750 section 2.1), None if it is of another scheme."""
    scheme, _, token = value.partition(b" ")
    return token.strip(b" ") if scheme.lower() == b"bearer" else None
