"""Seals short secrets for storage: AES-256-GCM under a key derived from the installation's secret.

A sealed text is `sealed:1:` and base64url of nonce (12 bytes), ciphertext and tag; it says nothing of what is
in it but its length. The key is HKDF-SHA256 (RFC 5869) of the secret. Sealing the same text twice gives two
different results: what is sealed is never compared, only what is in it.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "sealed:1:"
UNKNOWN_SEAL = (
    "was sealed with another SECRET_KEY: name that one in SECRET_KEY_FALLBACKS, or give the private key again"
)
_FAMILY = "sealed:"
_PURPOSE = b"tidegate private keys 1"
_NONCE_BYTES = 12


class WrongSeal(Exception):
    """A sealed text was made with none of the secrets, or changed since. The text is not in the message."""


class Seals:
    """Seals with the first secret, opens with any of them."""

    def __init__(self, secret_keys: Iterable[str]) -> None:
        self._ciphers = [AESGCM(_derived(secret)) for secret in secret_keys]

    def seal(self, text: str) -> str:
        """The text, sealed; an empty one stays empty."""
        if not text:
            return text
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = nonce + self._ciphers[0].encrypt(nonce, text.encode(), PREFIX.encode())
        return PREFIX + base64.urlsafe_b64encode(content).decode()

    def open(self, text: str) -> str:
        """What was sealed; a text that is not sealed is returned as it is. Raises `WrongSeal`."""
        if not is_sealed(text):
            return text
        content = _content(text)
        for cipher in self._ciphers:
            opened = _decrypted(cipher, content)
            if opened is not None:
                return opened
        raise WrongSeal(UNKNOWN_SEAL)

    def try_open(self, text: str) -> str:
        """As `open`, but what cannot be opened stays sealed: `is_sealed` tells."""
        try:
            return self.open(text)
        except WrongSeal:
            return text

    def is_newest(self, text: str) -> bool:
        """Whether it is sealed with the first secret."""
        return is_sealed(text) and _decrypted(self._ciphers[0], _content(text)) is not None


def is_sealed(text: str) -> bool:
    """Whether it is a sealed text, of this version or another."""
    return text.startswith(_FAMILY)


def _derived(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())


def _content(text: str) -> bytes:
    """Nonce and ciphertext; empty if it is not of this version, or broken."""
    if not text.startswith(PREFIX):
        return b""
    try:
        return base64.b64decode(text.removeprefix(PREFIX).encode(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""


def _decrypted(cipher: AESGCM, content: bytes) -> str | None:
    nonce, sealed = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
    try:
        return cipher.decrypt(nonce, sealed, PREFIX.encode()).decode()
    except (InvalidTag, ValueError):
        return None
