"""Private keys of certificates in stored documents: sealed when written, opened when read, sealed anew."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from django.db import transaction

from proxy.config import document
from proxy.config.problem import Problem
from proxy.config.seal import UNKNOWN_SEAL, Seals, WrongSeal, is_sealed
from proxy.models import Certificate, Gateway, Revision
from proxy.models.sealed import Sealed, seals


class Resealed(NamedTuple):
    """How many keys were sealed anew, how many were up to date, and where those are that nobody can open."""

    changed: int
    kept: int
    lost: list[Problem]


def sealed_document(whole: document.Document) -> document.Document:
    """The document as it is stored: private keys sealed."""
    return _with_keys(whole, [seals().seal(row.key) for row in whole.certificates])


def opened_document(whole: document.Document) -> document.Document:
    """A stored document with its private keys; what cannot be opened stays sealed."""
    return _with_keys(whole, [seals().try_open(row.key) for row in whole.certificates])


def sealed_problems(whole: document.Document) -> list[Problem]:
    """A problem for each private key that could not be opened."""
    return [_lost(row.name) for row in whole.certificates if is_sealed(row.key)]


def reseal() -> Resealed:
    """Seal all private keys in draft and Revisions with the present SECRET_KEY, so that the ones before it
    are needed no more. Nodes notice nothing: what is sealed means the same."""
    with transaction.atomic():
        Gateway.lock()
        counter = _Counter(seals())
        for row in Certificate.objects.values_list("pk", "name", "key"):
            counter.certificate(*row)
        for pk in list(Revision.objects.values_list("pk", flat=True)):
            counter.revision(Revision.objects.get(pk=pk))
        return Resealed(counter.changed, counter.kept, counter.lost)


class _Counter:
    """Goes through what is stored."""

    def __init__(self, own: Seals) -> None:
        self._seals = own
        self.changed = self.kept = 0
        self.lost: list[Problem] = []

    def certificate(self, pk: int, name: str, stored: str) -> None:
        """One row of the draft, unless somebody is replacing its key right now."""
        sealed = self._anew(stored, f"certificate {name}")
        if sealed:
            Certificate.objects.filter(pk=pk, key=stored).update(key=Sealed(sealed))

    def revision(self, row: Revision) -> None:
        """The keys of one Revision; one that cannot be read is left as it is."""
        try:
            whole: Any = msgspec.json.decode(row.document)
            certificates = [item for item in whole.get("certificates", ()) if item.get("key")]
        except (msgspec.DecodeError, AttributeError, TypeError):
            return
        changed = False
        for item in certificates:
            sealed = self._anew(str(item["key"]), f"certificate {item.get('name')} of {row}")
            if sealed:
                item["key"], changed = sealed, True
        if changed:
            Revision.objects.filter(pk=row.pk).update(document=msgspec.json.encode(whole).decode())

    def _anew(self, stored: str, owner: str) -> str:
        """The text sealed with the present secret; empty if there is nothing to do."""
        if self._seals.is_newest(stored):
            self.kept += 1
            return ""
        try:
            sealed = self._seals.seal(self._seals.open(stored))
        except WrongSeal:
            self.lost.append(Problem(owner, "key", UNKNOWN_SEAL))
            return ""
        self.changed += 1
        return sealed


def _lost(name: str) -> Problem:
    return Problem(f"certificate {name}", "key", UNKNOWN_SEAL)


def _with_keys(whole: document.Document, keys: list[str]) -> document.Document:
    if not keys:
        return whole
    pairs = zip(whole.certificates, keys, strict=True)
    rows = tuple(msgspec.structs.replace(row, key=key) for row, key in pairs)
    return msgspec.structs.replace(whole, certificates=rows)
