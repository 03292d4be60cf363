"""The edge: one strict look at a request's head, before anything decides on it.

Both doors hand over what their parser gave them: method, target, header lines with lower-case names.
`admit` refuses what is ambiguous, removes what only the gateway may set, and leaves one canonical form on
the exchange. What it refuses never reaches an upstream, and the connection is closed.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.exchange import Exchange, Header, Response, problem
from proxy.http.addresses import canonical_ip
from proxy.http.path import PathError, canonical, split_absolute

if TYPE_CHECKING:
    from proxy.runtime import Runtime

METHODS = frozenset(
    b"GET HEAD POST PUT PATCH DELETE OPTIONS PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH "
    b"QUERY PURGE LINK UNLINK".split()
)


class Kind(enum.IntEnum):
    """What the edge does with a header line."""

    KEEP = 0
    DROP = 1
    HOST = 2
    LENGTH = 3
    ENCODING = 4
    CONNECTION = 5
    UPGRADE = 6
    EXPECT = 7
    FORWARDED = 8
    TRACE = 9
    REQUEST_ID = 10
    REFUSE = 11


KEEP, DROP = Kind.KEEP, Kind.DROP
_KINDS: dict[bytes, int] = {
    b"host": Kind.HOST,
    b"content-length": Kind.LENGTH,
    b"transfer-encoding": Kind.ENCODING,
    b"connection": Kind.CONNECTION,
    b"upgrade": Kind.UPGRADE,
    b"expect": Kind.EXPECT,
    b"traceparent": Kind.TRACE,
    b"x-request-id": Kind.REQUEST_ID,
    **dict.fromkeys(
        b"forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port".split(), Kind.FORWARDED
    ),
    **dict.fromkeys(
        b"keep-alive te trailer proxy-connection proxy-authorization proxy-authenticate http2-settings "
        b"x-real-ip x-forwarded-prefix x-forwarded-server x-forwarded-client-cert x-original-url x-rewrite-url "
        b"x-http-method x-http-method-override x-method-override x-anonymous-consumer".split(),
        Kind.DROP,
    ),
}
# Only the gateway says who calls (threats T-B01); no upstream may take a client's word for it.
_OWNED = (b"x-consumer-", b"x-credential-", b"x-authenticated-", b"x-gateway-", b"x-tidegate-", b"x-envoy-")
_KNOWN_CAP = 4096
_known: dict[bytes, int] = dict(_KINDS)
_hosts: dict[bytes, bytes] = {}

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")
_HOST = re.compile(rb"(?P<name>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_DIGITS = re.compile(rb"[0-9]{1,15}")


def classify(name: bytes) -> int:
    """What to do with header lines of this (lower-case) name; remembers the answer for common names."""
    if b"_" in name:
        kind: int = Kind.REFUSE  # X_Consumer_Id would become X-Consumer-Id behind us (threats T-B02)
    elif name.startswith(_OWNED):
        kind = Kind.DROP
    else:
        kind = Kind.KEEP
    if len(_known) < _KNOWN_CAP and len(name) <= 64:
        _known[name] = kind
    return kind


def valid_header(name: bytes, value: bytes) -> bool:
    """A header line whose name is a token and whose value holds no control bytes (RFC 9110 5.1, 5.5)."""
    return _TOKEN.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None


def canonical_host(raw: bytes) -> bytes | None:
    """The Host in lower case without port and trailing dot; None if it is malformed (RFC 9110 7.2)."""
    host = _hosts.get(raw)
    if host is not None:
        return host
    match = _HOST.fullmatch(raw.lower())
    if match is None or b".." in raw or int(match["port"] or 0) > 65535:
        return None
    host = match["name"].rstrip(b".")
    if host.startswith(b"[") and canonical_ip(host[1:-1].decode()) is None:
        return None
    if len(_hosts) < _KNOWN_CAP and len(raw) <= 255:
        _hosts[raw] = host
    return host


def refuse(status: int, code: str, detail: str) -> Response:
    """A refusal of the edge: the connection is closed after it."""
    return problem(status, code, detail, close=True)


def admit(
    x: Exchange, method: bytes, target: bytes, lines: Sequence[Header], runtime: Runtime
) -> Response | None:
    """Fill the exchange with the canonical request, or say why it is refused."""
    if method not in METHODS:
        return refuse(405, "method-not-supported", "This method is not supported.")
    if len(lines) > runtime.limits.header_count:
        return refuse(431, "too-many-headers", f"At most {runtime.limits.header_count} header lines are allowed.")
    x.method = method
    x.runtime = runtime
    special: list[tuple[int, bytes]] | None = None
    kept: list[Header] = []
    host = b""
    for pair in lines:
        kind = _known.get(pair[0])
        if kind is None:
            kind = classify(pair[0])
        if kind == KEEP:
            kept.append(pair)
        elif kind == Kind.HOST:
            if host:
                return refuse(400, "duplicate-host", "There is more than one Host header.")
            host = pair[1]
        elif kind == Kind.REFUSE:
            return refuse(400, "header-underscore", "Header names with an underscore are not accepted.")
        elif kind != DROP:
            if special is None:
                special = []
            special.append((kind, pair[1]))
    x.headers = x.forward = kept
    refusal = _target(x, target, host)
    if refusal is not None or special is None:
        return refusal
    return _special(x, special)


def _target(x: Exchange, target: bytes, host: bytes) -> Response | None:
    if target[:1] != b"/":
        if target == b"*" and x.method == b"OPTIONS":
            target = b"/"
        else:
            split = split_absolute(target)
            if split is None:
                return refuse(400, "bad-target", "The request target must be a path that starts with '/'.")
            # RFC 9112 3.2.2: the authority of an absolute target takes the place of Host.
            _, authority, target = split
            if not host or canonical_host(host) != canonical_host(authority):
                return refuse(400, "host-mismatch", "The target's authority and the Host header differ.")
    canonical_name = _hosts.get(host) or canonical_host(host)
    if canonical_name is None:
        return refuse(400, "bad-host", "The Host header is missing or malformed.")
    x.host = canonical_name
    result = canonical(target, allow_encoded=True)
    if isinstance(result, PathError):
        return refuse(400, "bad-path", result.reason)
    x.path = result.path
    x.query = result.query
    x.encoded = result.encoded
    x.target = result.target
    return None


def _special(x: Exchange, special: list[tuple[int, bytes]]) -> Response | None:
    lengths: list[bytes] = []
    encodings: list[bytes] = []
    forwarded = False
    for kind, value in special:
        if kind == Kind.LENGTH:
            lengths.append(value)
        elif kind == Kind.ENCODING:
            encodings.append(value)
        elif kind == Kind.CONNECTION:
            _connection(x, value)
        elif kind == Kind.UPGRADE:
            x.websocket = value.lower() == b"websocket" and x.protocol == "HTTP/1.1"
        elif kind == Kind.TRACE:
            x.traceparent = value
        elif kind == Kind.REQUEST_ID:
            x.request_id = value
        elif kind == Kind.FORWARDED:
            forwarded = True
        elif value.lower() != b"100-continue":
            return refuse(417, "expectation-failed", "The only expectation that can be met is 100-continue.")
        else:
            x.expect_continue = x.protocol == "HTTP/1.1"
    x.was_forwarded = forwarded
    return _framing(x, lengths, encodings) if lengths or encodings else None


def _connection(x: Exchange, value: bytes) -> None:
    """Headers that the client names in Connection are for us, not for the upstream (RFC 9110 7.6.1)."""
    options = {option.strip(b" \t") for option in value.lower().split(b",")}
    if b"upgrade" in options:
        x.upgrade = True
    if b"close" in options:
        x.close = True
    elif b"keep-alive" in options:
        x.keep_alive = True
    named = options - {b"close", b"keep-alive", b"upgrade", b""}
    if named:
        x.headers = x.forward = [pair for pair in x.headers if pair[0] not in named]


def _framing(x: Exchange, lengths: list[bytes], encodings: list[bytes]) -> Response | None:
    """RFC 9112 6.1 to 6.3, without any of the leniencies."""
    if encodings:
        if lengths:
            return refuse(400, "ambiguous-length", "Content-Length and Transfer-Encoding may not come together.")
        if len(encodings) > 1 or x.protocol == "HTTP/1.0":
            return refuse(400, "bad-transfer-encoding", "One Transfer-Encoding, in HTTP/1.1 only.")
        if encodings[0].lower() != b"chunked":
            return refuse(501, "transfer-encoding-not-supported", "The only transfer coding supported is chunked.")
        x.content_length = None
        return None
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        return refuse(400, "bad-content-length", "Content-Length must be one plain number.")
    x.content_length = int(lengths[0])
    return None
