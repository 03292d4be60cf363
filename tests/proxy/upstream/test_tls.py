"""TLS towards services."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from proxy.config.snapshot import Upstream
from proxy.upstream.tls import client_context, http2_context
from tests.proxy.config.pem import make_pair
from tests.proxy.upstream.stage import answering, run, running, service


def test_contexts_of_the_same_configuration_are_one() -> None:
    assert client_context(Upstream("a")) is client_context(Upstream("b"))
    assert client_context(Upstream("a")) is not client_context(Upstream("a", tls_verify=False))
    assert client_context(Upstream("a")) is not http2_context(Upstream("a"))


def test_verification_is_on_unless_it_is_turned_off() -> None:
    context = client_context(Upstream("a"))
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert client_context(Upstream("a", tls_verify=False)).verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"tls_server_name": "service.test"}, 200),
        ({"tls_server_name": "other.test"}, 502),
        ({}, 502),
        ({"tls_verify": False}, 200),
        ({"tls_ca": "", "tls_server_name": "service.test"}, 502),
    ],
)
def test_https_upstreams(tmp_path: Path, options: dict[str, object], status: int) -> None:
    chain, key = make_pair("service.test")
    (tmp_path / "chain.pem").write_text(chain)
    (tmp_path / "key.pem").write_text(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")

    async def scenario() -> None:
        upstream = answering()
        upstream.context = context
        async with upstream:
            configured = service(upstream, **{"protocol": "https", "tls_ca": chain, **options})
            async with running(tmp_path, configured) as gateway:
                for _ in range(3):
                    assert (await gateway.ask("POST", "/", b"body")).status == status
                if status == 200:
                    assert upstream.connections == 1
                    await gateway.settled(upstream)

    run(scenario)
