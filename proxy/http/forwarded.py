"""What trusted proxies say of the client: X-Forwarded-* or Forwarded, one family, as configured."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from proxy.exchange import Exchange, Header
from proxy.http.addresses import Networks, forwarded_ip
from proxy.http.edge import canonical_host
from proxy.telemetry.trace import accept_request_id

if TYPE_CHECKING:
    from proxy.runtime import Runtime

_FORWARDED_PAIR = re.compile(r'[ \t]*([a-z]+)=(?:"([^"\\]*)"|([^\s",;]*))[ \t]*', re.IGNORECASE)
MAX_HOPS = 32


def believe(x: Exchange, lines: list[Header], runtime: Runtime) -> None:
    """Take over client address, scheme, host and request id if it is a trusted proxy that sent `x`."""
    if runtime.trusted is None or x.peer not in runtime.trusted:
        return
    if x.client_request_id:
        x.request_id = accept_request_id(x.client_request_id) or b""
    if not x.was_forwarded:
        return
    if runtime.use_forwarded:
        hops, proto, host = _forwarded(lines)
    else:
        hops = _values(lines, b"x-forwarded-for")
        proto = _last(lines, b"x-forwarded-proto")
        host = _last(lines, b"x-forwarded-host")
    addresses = _client(x, hops[-MAX_HOPS:], runtime)
    scheme = proto.encode() if proto in ("http", "https") else x.scheme
    x.origin = origin_lines(addresses, x.client_ip.encode(), scheme)
    if host and canonical_host(host.encode("latin-1")) is not None:
        x.forwarded_host = host.encode("latin-1")


@functools.lru_cache(maxsize=1024)
def origin_lines(addresses: bytes, client: bytes, scheme: bytes) -> bytes:
    """What the upstream is told of the client, as complete header lines."""
    return b"x-forwarded-for: %b\r\nx-real-ip: %b\r\nx-forwarded-proto: %b\r\n" % (addresses, client, scheme)


def _client(x: Exchange, hops: list[str], runtime: Runtime) -> bytes:
    believed = believed_hops(hops, runtime.trusted)
    if believed:
        x.client_ip = believed[-1]
    return ", ".join([*reversed(believed), x.peer]).encode()


def believed_hops(hops: list[str], trusted: Networks | None) -> list[str]:
    """The addresses to believe when a trusted proxy sent `hops`, the nearest first, the client's last.

    The client is the last address that no trusted proxy vouches for; the rest is hearsay (threats T-B04).
    """
    believed: list[str] = []
    for hop in reversed(hops):
        ip = forwarded_ip(hop)
        if ip is None:
            break
        believed.append(ip)
        if trusted is None or ip not in trusted:
            break
    return believed


def forwarded_hops(lines: list[Header], *, use_forwarded: bool) -> list[str]:
    """What one family of headers says of the way here, the client first; at most `MAX_HOPS`."""
    hops = _forwarded(lines)[0] if use_forwarded else _values(lines, b"x-forwarded-for")
    return hops[-MAX_HOPS:]


def _values(lines: list[Header], name: bytes) -> list[str]:
    joined = ",".join(value.decode("latin-1") for key, value in lines if key == name)
    return [part.strip(" \t") for part in joined.split(",") if part.strip(" \t")]


def _last(lines: list[Header], name: bytes) -> str:
    values = _values(lines, name)
    return values[-1].lower() if values else ""


def _forwarded(lines: list[Header]) -> tuple[list[str], str, str]:
    """Addresses, and the nearest proxy's proto and host, of the Forwarded header (RFC 7239)."""
    hops, proto, host = [], "", ""
    for element in _values(lines, b"forwarded"):
        parts = [_pair(part) for part in element.split(";")]
        pairs = dict(parts)
        # RFC 7239 4: no parameter occurs twice; whoever sends that is not to be believed.
        whole = len(pairs) == len(parts) and "" not in pairs
        hops.append(pairs.get("for", "unknown") if whole else "unknown")
        proto, host = pairs.get("proto", "").lower(), pairs.get("host", "").lower()
    return hops, proto, host


def _pair(text: str) -> tuple[str, str]:
    match = _FORWARDED_PAIR.fullmatch(text)
    return (match[1].lower(), match[2] or match[3] or "") if match else ("", "")
