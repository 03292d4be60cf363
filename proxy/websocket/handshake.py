"""What an opening handshake must look like, at both sides of the gateway (RFC 6455 section 4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING

from proxy.exchange import Exchange, Header, Response, UpstreamHead, problem

if TYPE_CHECKING:
    from proxy.routing.table import CompiledRoute

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKENS = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*")
EXTENSIONS = b"sec-websocket-extensions"


def refuse_handshake(x: Exchange, route: CompiledRoute) -> Response | None:
    """Say why this handshake is refused, or make it ready to be forwarded.

    Extensions are not offered to the upstream: compressed messages would hide their size from the limits.
    """
    if not route.config.websocket:
        return problem(403, "websocket-not-allowed", "This route takes no WebSockets.", close=True)
    if x.content_length != 0:
        return _bad("A handshake has no body.")
    versions = x.header_values(b"sec-websocket-version")
    if versions != [b"13"]:
        offer = [(b"sec-websocket-version", b"13"), (b"upgrade", b"websocket")]
        text = "Only version 13 of WebSocket is supported."
        return problem(426, "websocket-version", text, headers=offer, close=True)
    keys = x.header_values(b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        return _bad("There must be one Sec-WebSocket-Key: 16 bytes in Base64.")
    if not all(map(_TOKENS.fullmatch, x.header_values(b"sec-websocket-protocol"))):
        return _bad("Sec-WebSocket-Protocol is a list of tokens.")
    x.remove_forward(EXTENSIONS)
    return None


def _bad(detail: str) -> Response:
    return problem(400, "bad-handshake", detail, close=True)


def _is_key(value: bytes) -> bool:
    try:
        return len(value) == 24 and len(base64.b64decode(value, validate=True)) == 16
    except binascii.Error:
        return False


def accept_value(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def protocols(x: Exchange) -> list[bytes]:
    """The subprotocols that the client offers."""
    offered = b",".join(x.header_values(b"sec-websocket-protocol"))
    return [name.strip(b" \t") for name in offered.split(b",") if name.strip(b" \t")]


def accepted(x: Exchange, headers: list[Header]) -> bool:
    """Whether the upstream's 101 answers this very handshake."""
    head = UpstreamHead(101, headers, None)
    accepts = [value for name, value in headers if name == b"sec-websocket-accept"]
    if accepts != [accept_value(x.header(b"sec-websocket-key") or b"")]:
        return False
    chosen = head.get(b"sec-websocket-protocol")
    return chosen is None or chosen in protocols(x)
