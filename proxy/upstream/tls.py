"""TLS towards upstreams."""

from __future__ import annotations

import ssl

from proxy.config.snapshot import Upstream


def client_context(upstream: Upstream) -> ssl.SSLContext:
    """A context that verifies as the Upstream says; `tls_ca` is PEM text, empty means the system's CAs."""
    context = ssl.create_default_context(cadata=upstream.tls_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not upstream.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context
