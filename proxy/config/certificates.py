"""Reads a certificate chain and its key: do they fit, which names, until when (RFC 5280, RFC 6125)."""

from __future__ import annotations

import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from proxy.config.seal import UNKNOWN_SEAL, is_sealed

MAX_PEM = 256 * 1024
MAX_NAMES = 1000


class Pair(NamedTuple):
    """What a chain says of itself: DNS names and addresses in lower case, and the earliest expiry."""

    names: tuple[str, ...]
    expires_at: datetime.datetime


class BadPair(Exception):
    """Chain or key cannot be used; `field` is the one that is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def read_pair(chain: str, key: str) -> Pair:
    """The names and expiry of a chain (leaf first) whose private key is `key`. Raises `BadPair`."""
    certificates = read_chain(chain)
    leaf = certificates[0]
    if _public_key(leaf) != _private_keys_public(key):
        raise BadPair("key", "is not the key of the first certificate in the chain")
    names = _names(leaf)
    if not names:
        raise BadPair("chain", "the first certificate has no DNS name and no address")
    return Pair(names, min(certificate.not_valid_after_utc for certificate in certificates))


def read_chain(chain: str, field: str = "chain") -> list[x509.Certificate]:
    """The certificates of a PEM text. Raises `BadPair` with that field if there is none or one is broken."""
    if len(chain) > MAX_PEM:
        raise BadPair(field, f"is longer than {MAX_PEM} characters")
    try:
        return x509.load_pem_x509_certificates(chain.encode())
    except ValueError:
        raise BadPair(field, "holds no readable PEM certificate") from None


def _public_key(certificate: x509.Certificate) -> bytes:
    try:
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise BadPair("chain", "the first certificate has a kind of key that is not supported") from None
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _private_keys_public(key: str) -> bytes:
    if len(key) > MAX_PEM:
        raise BadPair("key", f"is longer than {MAX_PEM} characters")
    if is_sealed(key):
        raise BadPair("key", UNKNOWN_SEAL)
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        raise BadPair("key", "is encrypted; give it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadPair("key", "is no readable PEM private key") from None
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    found = [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]
    found += [str(address) for address in extension.value.get_values_for_type(x509.IPAddress)]
    return tuple(dict.fromkeys(found[:MAX_NAMES]))
