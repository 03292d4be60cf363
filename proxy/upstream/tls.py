"""TLS towards upstreams. Contexts are shared: reading the system's certificates takes some 20 ms."""

from __future__ import annotations

import functools
import ssl
from typing import Any

from proxy.config.snapshot import Upstream


class _Http2Context(ssl.SSLContext):
    """Offers HTTP/2 alone, whatever httpx would offer beside it."""

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        super().set_alpn_protocols(["h2"])


def client_context(upstream: Upstream) -> ssl.SSLContext:
    """A context that verifies as the Upstream says; `tls_ca` is PEM text, empty means the system's CAs."""
    return _context(ssl.SSLContext, "http/1.1", upstream.tls_ca, upstream.tls_verify)


def http2_context(upstream: Upstream) -> ssl.SSLContext:
    """The same for HTTP/2."""
    return _context(_Http2Context, "h2", upstream.tls_ca, upstream.tls_verify)


@functools.lru_cache(maxsize=256)
def _context(kind: type[ssl.SSLContext], protocol: str, authorities: str, verify: bool) -> ssl.SSLContext:
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([protocol])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities:
        context.load_verify_locations(cadata=authorities)
    else:
        context.load_default_certs()
    return context
