"""TLS on the native door: certificates by server name, taken over from a publish, and clients that misbehave."""

from __future__ import annotations

import datetime
import functools
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.config.snapshot import Certificate, Limits
from tests.gateway.doors import Gateway, GatewayFactory, snapshot, wait_until
from tests.upstreams import Service


@functools.cache
def certificate(label: str, *names: str) -> Certificate:
    """A self-signed certificate; its subject is the label, by which tests tell which one they got."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names or (label,)]), False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        name=label,
        names=names,
        chain=built.public_bytes(serialization.Encoding.PEM).decode(),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def config(service: Service, *certificates: Certificate, revision: int = 1, **limits: float) -> object:
    made = snapshot(service.port)
    changes = {"certificates": certificates, "revision": revision, "limits": Limits(**limits)}  # type: ignore[arg-type]
    return type(made)(**{name: changes.get(name, getattr(made, name)) for name in made.__struct_fields__})


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def open_tls(gateway: Gateway, name: str | None) -> ssl.SSLSocket:
    return client_context().wrap_socket(gateway.connect(), server_hostname=name)


def subject_of(connection: ssl.SSLSocket) -> str:
    encoded = connection.getpeercert(binary_form=True)
    assert encoded is not None
    [attribute] = x509.load_der_x509_certificate(encoded).subject
    return str(attribute.value)


def ask(connection: ssl.SSLSocket) -> bytes:
    connection.sendall(b"GET /get HTTP/1.1\r\nhost: a.example\r\n\r\n")
    return connection.recv(65536)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.example", "one"),
        ("A.Example", "one"),
        ("b.wild.example", "wild"),
        ("deep.b.wild.example", "default"),
        ("unknown.example", "default"),
        (None, "default"),
    ],
)
def test_the_server_name_chooses_the_certificate(
    gateway: GatewayFactory, name: str | None, expected: str
) -> None:
    with Service() as service:
        certificates = (
            certificate("one", "a.example"),
            certificate("wild", "*.wild.example"),
            certificate("default"),
        )
        running = gateway("tls", config(service, *certificates), fresh=True)
        with open_tls(running, name) as connection:
            assert subject_of(connection) == expected
            assert ask(connection).startswith(b"HTTP/1.1 200 ")


def test_the_upstream_and_the_record_know_that_it_was_https(gateway: GatewayFactory) -> None:
    with Service() as service:
        running = gateway("tls", config(service, certificate("default")), fresh=True)
        with open_tls(running, "a.example") as connection:
            answer = ask(connection)
        assert b"x-forwarded-proto" in answer.lower()
        assert b"https" in answer


def test_a_published_certificate_is_served_without_dropping_anybody(gateway: GatewayFactory) -> None:
    with Service() as service:
        running = gateway("tls", config(service, certificate("old", "a.example")), fresh=True)
        kept = open_tls(running, "a.example")
        assert subject_of(kept) == "old"
        results: list[bytes] = []
        stop = threading.Event()

        def keep_asking() -> None:
            while not stop.is_set():
                with open_tls(running, "a.example") as connection:
                    results.append(ask(connection)[:12])

        thread = threading.Thread(target=keep_asking)
        thread.start()
        running.publish(config(service, certificate("new", "a.example"), revision=2))

        def served() -> str:
            with open_tls(running, "a.example") as connection:
                return subject_of(connection)

        wait_until(lambda: served() == "new", "the new certificate")
        stop.set()
        thread.join()
        assert set(results) == {b"HTTP/1.1 200"}
        assert ask(kept).startswith(b"HTTP/1.1 200 ")
        kept.close()


def test_without_a_certificate_the_handshake_is_refused(gateway: GatewayFactory) -> None:
    with Service() as service:
        running = gateway("tls", config(service), fresh=True)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            open_tls(running, "a.example")


def test_plain_text_and_old_protocols_are_refused(gateway: GatewayFactory) -> None:
    with Service() as service:
        running = gateway("tls", config(service, certificate("default")), fresh=True)
        with running.connect() as plain:
            plain.sendall(b"GET /get HTTP/1.1\r\nhost: a.example\r\n\r\n")
            assert not plain.recv(65536).startswith(b"HTTP/")
        context = client_context()
        with pytest.warns(DeprecationWarning):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(running.connect(), server_hostname="a.example")
        assert service.calls == []


def test_a_handshake_that_stops_is_given_up(gateway: GatewayFactory) -> None:
    with Service() as service:
        limited = config(service, certificate("default"), tls_handshake_timeout=0.5, header_timeout=0.5)
        running = gateway("tls", limited, fresh=True)
        began = time.monotonic()
        with running.connect() as silent:
            silent.settimeout(10)
            try:
                assert silent.recv(1) == b""
            except ConnectionError:
                pass
            assert time.monotonic() - began < 5
        with open_tls(running, "a.example") as connection:
            assert ask(connection).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_vanishes_leaves_nothing_behind(gateway: GatewayFactory) -> None:
    with Service() as service:
        running = gateway("tls", config(service, certificate("default")), fresh=True)
        for _ in range(20):
            sock = running.connect()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")
            sock.close()
        with open_tls(running, "a.example") as connection:
            assert ask(connection).startswith(b"HTTP/1.1 200 ")
        assert "Traceback" not in running.stderr()
