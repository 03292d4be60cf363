"""TLS on the native door: certificates chosen by SNI, taken over from each new Snapshot without a restart."""

from __future__ import annotations

import os
import ssl
import tempfile
from typing import TYPE_CHECKING

from proxy.config.snapshot import Certificate

if TYPE_CHECKING:
    from proxy.core import Core
    from proxy.runtime import Runtime


class ServerContexts:
    """`context` is what the listener is opened with; each handshake moves on to that of its server name."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._runtime: Runtime | None = None
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._default: ssl.SSLContext | None = None
        self.context = _empty_context()
        self.context.sni_callback = self._choose
        self.refresh(0.0)

    def refresh(self, now: float) -> None:
        """Load the certificates of the Snapshot in force if it is a new one."""
        runtime = self._core.runtime
        if runtime is None or runtime is self._runtime:
            return
        self._runtime = runtime
        by_name: dict[str, ssl.SSLContext] = {}
        default: ssl.SSLContext | None = None
        for certificate in runtime.snapshot.certificates:
            context = server_context(certificate)
            if default is None or not certificate.names:
                default = context
            for name in certificate.names:
                by_name[name.lower()] = context
        self._by_name, self._default = by_name, default

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        chosen = self._default
        if name is not None:
            name = name.lower()
            chosen = self._by_name.get(name) or self._by_name.get(f"*.{name.partition('.')[2]}") or chosen
        if chosen is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = chosen
        return None


def _empty_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """A context that serves this certificate. Raises `ssl.SSLError` if chain and key do not fit."""
    context = _empty_context()
    descriptor, path = tempfile.mkstemp(prefix="tidegate-")  # mode 0600; ssl only loads keys from files
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(certificate.key.rstrip() + "\n" + certificate.chain)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)
    return context
