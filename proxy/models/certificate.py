"""Certificate: a TLS certificate chain and its private key."""

from __future__ import annotations

from typing import Any

from django.db import models

from proxy.config import document
from proxy.config.certificates import read_pair
from proxy.config.validate import check_certificate
from proxy.models.base import Editable
from proxy.models.sealed import SealedTextField


class Certificate(Editable):
    """Chain and key in PEM; `names` (from the chain) choose it by SNI, `expires_at` warns in time.

    The key is sealed in the database (`proxy.config.seal`).
    """

    name = models.CharField(max_length=100, unique=True)
    chain = models.TextField()
    key = SealedTextField()
    names = models.JSONField(default=list, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    shared = ("name", "chain", "key")

    def clean(self) -> None:
        """Check the fields as a document would be checked."""
        self.check_as(document.Certificate, check_certificate)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store it with what the chain says of itself. Raises `BadPair` if chain and key do not fit."""
        pair = read_pair(self.chain, self.key)
        self.names, self.expires_at = list(pair.names), pair.expires_at
        super().save(*args, **kwargs)

    def as_document(self) -> document.Certificate:
        """The certificate with its key: mind where it goes. A key that cannot be opened stays sealed."""
        return document.Certificate(self.name, self.chain, str(self.key))
