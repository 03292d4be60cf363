"""Heads on the ASGI door: what a scope says of a request, and an answer's headers as ASGI wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from proxy.doors.asgi_types import Scope
from proxy.doors.wire import UnsafeAnswer
from proxy.exchange import Exchange, Header, UpstreamHead

if TYPE_CHECKING:
    from proxy.runtime import Head

PROTOCOLS = {
    "1.1": "HTTP/1.1",
    "1.0": "HTTP/1.0",
    "1": "HTTP/1.0",
    "2": "HTTP/2",
    "2.0": "HTTP/2",
    "3": "HTTP/3",
}
FRAMED = frozenset(("HTTP/2", "HTTP/3"))
"""Protocols that frame bodies themselves and know no connection-specific headers (RFC 9113 8.2.2)."""

REMEMBERED = 1024
_CONNECTION_SPECIFIC = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
NO_BODY = frozenset(("GET", "HEAD"))
"""Methods whose requests have no body unless a header announces it; in others HTTP/2 may hide one."""
_PATH_CHARACTERS = "/!$&'()*+,;=:@~-._"
_blocks: dict[bytes, list[Header]] = {}


class BadScope(Exception):
    """The request cannot be understood from its scope, or not in one way only."""


def protocol(scope: Scope) -> str:
    """The protocol as records name it. Raises BadScope."""
    name = PROTOCOLS.get(scope["http_version"])
    if name is None:
        raise BadScope("The HTTP version is not supported.")
    return name


def whole_head(scope: Scope) -> Head:
    """All that decides what comes of a request, as far as its head says it. Some servers' is not hashable."""
    path = scope.get("raw_path") or scope["path"]
    return (scope["http_version"], scope["method"], path, scope["query_string"], *scope["headers"])


def hashable(head: Head) -> Head:
    """The same with tuples for pairs that are lists."""
    parts: tuple[str | bytes | Header, ...] = tuple(head)  # type: ignore[arg-type]
    return tuple(part if isinstance(part, str | bytes) else (part[0], part[1]) for part in parts)


def request_target(scope: Scope) -> bytes:
    """Path and query as the client sent them, as far as the server kept them. Raises BadScope."""
    path: bytes | None = scope.get("raw_path")
    if path is None:
        path = _rebuilt(scope["path"])
    query: bytes = scope["query_string"]
    return b"%b?%b" % (path, query) if query else path


def _rebuilt(path: str) -> bytes:
    """A path of which only the decoded form is left, encoded anew: one reading, for us and the upstream."""
    if "\ufffd" in path:
        raise BadScope("The path cannot be read.")
    return quote(path, safe=_PATH_CHARACTERS).encode()


def framed_headers(scope: Scope, body: bytes | None) -> list[Header]:
    """The headers of an HTTP/2 or HTTP/3 request as HTTP/1.1 would have them. Raises BadScope.

    Such a request may have a body without saying so beforehand; `body` is that body if it is known to be
    all of it, None if it is still to come.
    """
    headers: list[Header] = [(name, value) for name, value in scope["headers"]]
    names = {name for name, _ in headers}
    if names & _CONNECTION_SPECIFIC:
        raise BadScope("Connection-specific headers are not allowed in this version of HTTP.")
    cookies = [value for name, value in headers if name == b"cookie"]
    if len(cookies) > 1:  # split for compression, one header elsewhere (RFC 9113 8.2.3)
        headers = [pair for pair in headers if pair[0] != b"cookie"]
        headers.append((b"cookie", b"; ".join(cookies)))
    if b"content-length" in names:
        return headers
    if body is None:
        headers.append((b"transfer-encoding", b"chunked"))
    elif body:
        headers.append((b"content-length", b"%d" % len(body)))
    return headers


def may_hide_body(scope: Scope) -> bool:
    """Whether a body may follow that no header speaks of; with GET and HEAD it would mean nothing."""
    return scope["method"] not in NO_BODY and not any(
        name == b"content-length" for name, _ in scope["headers"]
    )


def answer_headers(x: Exchange, head: UpstreamHead, length: int | None) -> list[Header]:
    """The headers of an answer, with those that every answer carries. Raises UnsafeAnswer.

    `length` is the Content-Length, None for none. The list is the caller's.
    """
    block = head.block
    sent = _checked(x, head.headers) if block is None else _blocks.get(block) or _read(block)
    late = () if x.late is None else x.late.headers(x.late_of)
    extra = () if x.extra is None else _checked(x, x.extra)
    if length is None:
        return [*sent, *late, *extra, (b"x-request-id", x.request_id)]
    return [*sent, *late, *extra, (b"x-request-id", x.request_id), (b"content-length", b"%d" % length)]


def _checked(x: Exchange, headers: list[Header]) -> list[Header]:
    """Headers that came from a policy or by way of one, as the client's protocol allows them."""
    text = b"".join([name + value for name, value in headers])
    if b"\n" in text or b"\r" in text or b"\0" in text:
        raise UnsafeAnswer
    if x.protocol in FRAMED:
        return [pair for pair in headers if pair[0] not in _CONNECTION_SPECIFIC]
    return headers


def _read(block: bytes) -> list[Header]:
    """Split header lines that the upstream's reader has found well-formed and freed of connection headers."""
    lines = (line.partition(b":") for line in block.split(b"\r\n")[:-1])
    headers = [(name.lower(), value.strip(b" \t")) for name, _, value in lines]
    if len(_blocks) >= REMEMBERED:
        _blocks.clear()
    _blocks[block] = headers
    return headers
