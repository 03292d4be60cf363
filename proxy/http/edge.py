"""The edge: one strict look at a request's head, before anything decides on it.

Both doors hand over what their parser gave them: method, target, header lines with lower-case names.
`admit` refuses what is ambiguous, removes what only the gateway may set, and leaves one canonical form on
the exchange. What it refuses never reaches an upstream, and the connection is closed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.exchange import Exchange, Header, Response, problem
from proxy.http.addresses import canonical_ip
from proxy.http.lines import BadLine, Entry, LineReader, Special, valid_header
from proxy.http.path import PathError, canonical, plain_path, split_absolute

if TYPE_CHECKING:
    from proxy.runtime import Runtime

METHODS = frozenset(
    b"GET HEAD POST PUT PATCH DELETE OPTIONS PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH "
    b"QUERY PURGE LINK UNLINK".split()
)


# What the edge does with a header line. Plain numbers: reading a member of an enumeration costs more than
# all else that is done with it here.
(
    KEEP,
    DROP,
    HOST,
    LENGTH,
    ENCODING,
    CONNECTION,
    UPGRADE,
    EXPECT,
    FORWARDED,
    TRACE,
    REQUEST_ID,
    REFUSE,
) = range(12)

_KINDS: dict[bytes, int] = {
    b"host": HOST,
    b"content-length": LENGTH,
    b"transfer-encoding": ENCODING,
    b"connection": CONNECTION,
    b"upgrade": UPGRADE,
    b"expect": EXPECT,
    b"traceparent": TRACE,
    b"x-request-id": REQUEST_ID,
    **dict.fromkeys(
        b"forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port".split(), FORWARDED
    ),
    **dict.fromkeys(
        b"keep-alive te trailer proxy-connection proxy-authorization proxy-authenticate http2-settings "
        b"x-real-ip x-forwarded-prefix x-forwarded-server x-forwarded-client-cert x-original-url "
        b"x-rewrite-url x-http-method x-http-method-override x-method-override x-anonymous-consumer".split(),
        DROP,
    ),
}
# Only the gateway says who calls (threats T-B01); no upstream may take a client's word for it.
_OWNED = (b"x-consumer-", b"x-credential-", b"x-authenticated-", b"x-gateway-", b"x-tidegate-", b"x-envoy-")
_HOSTS_CAP = 4096
_hosts: dict[bytes, tuple[bytes, bytes]] = {}

_HOST = re.compile(
    rb"(?P<name>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_LONGEST_HOST = 253
_DIGITS = re.compile(rb"[0-9]{1,15}")
_REQUEST_LINE = re.compile(rb"[A-Za-z]+ [!-~]+ HTTP/[0-9]\.[0-9]")


def classify(name: bytes) -> int:
    """What to do with headers that are not known by name."""
    if b"_" in name:
        return REFUSE  # X_Consumer_Id would become X-Consumer-Id behind us (threats T-B02)
    return DROP if name.startswith(_OWNED) else KEEP


LINES = LineReader(_KINDS, classify)


def canonical_host(raw: bytes) -> bytes | None:
    """The Host in lower case without port and trailing dot; None if it is malformed (RFC 9110 7.2)."""
    read = read_host(raw)
    return None if read is None else read[0]


def read_host(raw: bytes) -> tuple[bytes, bytes] | None:
    """The same, and once more with the port if there is one."""
    known = _hosts.get(raw)
    if known is not None:
        return known
    match = _HOST.fullmatch(raw.lower())
    if match is None or b".." in raw or int(match["port"] or 0) > 65535:
        return None
    host = match["name"].rstrip(b".")
    if len(host) > _LONGEST_HOST:
        return None
    if host.startswith(b"[") and canonical_ip(host[1:-1].decode()) is None:
        return None
    read = (host, host if match["port"] is None else b"%b:%b" % (host, match["port"]))
    if len(_hosts) < _HOSTS_CAP:
        _hosts[raw] = read
    return read


def refuse(status: int, code: str, detail: str) -> Response:
    """A refusal of the edge: the connection is closed after it."""
    return problem(status, code, detail, close=True)


def admit_head(x: Exchange, head: bytes, runtime: Runtime) -> Response | None:
    """Read a head (without the empty line at its end) onto the exchange, or say why it is refused."""
    line, _, block = head.partition(b"\r\n")
    parts = line.split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1" or parts[0] not in METHODS:
        refusal = _request_line(x, line)
        if refusal is not None:
            return refusal
    lines = block.split(b"\r\n") if block else []
    if len(lines) > runtime.limits.header_count:
        return _too_many(runtime)
    try:
        entries = LINES.read(lines)
    except BadLine:
        return refuse(400, "malformed-request", "A header line is not well-formed.")
    return _settle(x, parts[0], parts[1], entries, runtime)


def repeatable(x: Exchange) -> bool:
    """Whether an equal head would come to the same, whoever sends it and whenever: the head can be kept."""
    return (
        x.content_length == 0
        and x.protocol != "HTTP/1.0"
        and not (x.close or x.upgrade or x.expect_continue or x.was_forwarded or x.client_request_id)
        and not (x.traceparent or x.encoded or x.websocket)
    )


def split_lines(head: bytes) -> list[Header]:
    """All header lines of a well-formed head as pairs, what the edge took away included."""
    pairs = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]


def admit(
    x: Exchange, method: bytes, target: bytes, headers: Sequence[Header], runtime: Runtime
) -> Response | None:
    """The same for a request that another server has parsed; names in lower case."""
    if method not in METHODS:
        return _not_supported()
    if len(headers) > runtime.limits.header_count:
        return _too_many(runtime)
    if not all(valid_header(name, value) for name, value in headers):
        return refuse(400, "malformed-request", "A header line is not well-formed.")
    return _settle(x, method, target, [LINES.entry(name, value) for name, value in headers], runtime)


def _too_many(runtime: Runtime) -> Response:
    return refuse(431, "too-many-headers", f"At most {runtime.limits.header_count} header lines are allowed.")


def _request_line(x: Exchange, line: bytes) -> Response | None:
    """Anything but a supported method with HTTP/1.1: HTTP/1.0 is served, the rest refused."""
    if not _REQUEST_LINE.fullmatch(line):
        return refuse(400, "malformed-request", "The request line is not well-formed.")
    method, _, version = line.split(b" ")
    if version == b"HTTP/1.0":
        x.protocol = "HTTP/1.0"
    elif version != b"HTTP/1.1":
        return refuse(505, "version-not-supported", "Only HTTP/1.1 and HTTP/1.0 are served here.")
    if method not in METHODS:
        if method.upper() in METHODS:
            return refuse(400, "malformed-request", "Methods are written in upper case.")
        return _not_supported()
    return None


def _not_supported() -> Response:
    """405 names the methods that are (RFC 9110 15.5.6)."""
    response = refuse(405, "method-not-supported", "This method is not supported.")
    response.headers.append((b"allow", b", ".join(sorted(METHODS))))
    return response


def _settle(
    x: Exchange, method: bytes, target: bytes, entries: list[Entry], runtime: Runtime
) -> Response | None:
    """Sort a head's lines: what is kept, what the edge itself must know."""
    x.runtime = runtime
    x.method = method
    x.headers = x.forward = kept = [entry for entry in entries if entry.__class__ is tuple]
    x.agent = dict(kept).get(b"user-agent", b"")
    host: bytes | None = None
    rest: list[Special] = []
    for entry in entries:
        if entry.__class__ is tuple:
            continue
        kind = entry.kind  # type: ignore[union-attr]
        if kind == HOST:
            if host is not None:
                return refuse(400, "duplicate-host", "There is more than one Host header.")
            host = entry.value  # type: ignore[union-attr]
        elif kind == REFUSE:
            return refuse(400, "header-underscore", "Header names with an underscore are not accepted.")
        elif kind != DROP:
            rest.append(entry)  # type: ignore[arg-type]
    names = None if host is None else read_host(host)
    if names is None:
        return refuse(400, "bad-host", "The Host header is missing or malformed.")
    x.host, x.authority = names
    refusal = _special(x, rest) if rest else None
    if x.protocol == "HTTP/1.0" and not x.keep_alive:
        x.close = True
    return refusal if refusal is not None else _target(x, target)


def _target(x: Exchange, target: bytes) -> Response | None:
    if target and plain_path(target):
        x.path = x.target = target
        return None
    if target[:1] != b"/":
        if target == b"*" and x.method == b"OPTIONS":
            target = b"/"
        else:
            split = split_absolute(target)
            if split is None:
                return refuse(400, "bad-target", "The request target must be a path that starts with '/'.")
            # RFC 9112 3.2.2 lets the target's authority win; where it contradicts Host nobody is believed.
            _, authority, target = split
            if canonical_host(authority) != x.host:
                return refuse(400, "host-mismatch", "The target's authority and the Host header differ.")
    result = canonical(target, allow_encoded=True)
    if isinstance(result, PathError):
        return refuse(400, "bad-path", result.reason)
    x.path = result.path
    x.query = result.query
    x.encoded = result.encoded
    x.target = result.target
    return None


def _special(x: Exchange, special: list[Special]) -> Response | None:
    lengths: list[bytes] = []
    encodings: list[bytes] = []
    forwarded = False
    for entry in special:
        kind, value = entry.kind, entry.value
        if kind == LENGTH:
            lengths.append(value)
        elif kind == ENCODING:
            encodings.append(value)
        elif kind == CONNECTION:
            _connection(x, value)
        elif kind == UPGRADE:
            x.websocket = value.lower() == b"websocket" and x.protocol == "HTTP/1.1"
        elif kind == TRACE:
            x.traceparent = value
        elif kind == REQUEST_ID:
            x.client_request_id = value
        elif kind == FORWARDED:
            forwarded = True
        elif value.lower() != b"100-continue":
            return refuse(417, "expectation-failed", "The only expectation that can be met is 100-continue.")
        else:
            x.expect_continue = x.protocol == "HTTP/1.1"
    x.was_forwarded = forwarded
    x.websocket = x.websocket and x.upgrade and x.method == b"GET"
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
            return refuse(
                400, "ambiguous-length", "Content-Length and Transfer-Encoding may not come together."
            )
        if len(encodings) > 1 or x.protocol == "HTTP/1.0":
            return refuse(400, "bad-transfer-encoding", "One Transfer-Encoding, in HTTP/1.1 only.")
        if encodings[0].lower() != b"chunked":
            return refuse(
                501, "transfer-encoding-not-supported", "The only transfer coding supported is chunked."
            )
        x.content_length = None
        return None
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        return refuse(400, "bad-content-length", "Content-Length must be one plain number.")
    x.content_length = int(lengths[0])
    return None
