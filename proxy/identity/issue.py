"""Issuing, revoking and rolling keys: the one way for the command line, the console and the API.

A raw key is returned once and stored nowhere. The nodes follow within a second, without a publish.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from proxy.identity import keys
from proxy.models.app import App
from proxy.models.credential import Credential
from proxy.models.sync import SINGLETON, IdentityVersion
from proxy.node import NodeDir

_CHECKED = b"tidegate: is this the pepper that keys are issued with?"


class KeyRefused(ValueError):
    """This key cannot be issued; the message says why, without the key."""


def node_pepper() -> bytes:
    """The pepper that this installation hashes keys with. Raises PepperError."""
    return keys.load_pepper(NodeDir(Path(settings.TIDEGATE_DATA) / "node").pepper)


def check_pepper(expected: bytes, digest: Callable[[bytes], bytes]) -> None:
    """Raise PepperError if keys were issued under another pepper than the one behind `digest`."""
    if expected and expected != digest(_CHECKED):
        raise keys.PepperError(
            "this node has another pepper than the keys of the database were issued with: no key would be "
            "known. Give every node the same TIDEGATE_KEY_PEPPER or TIDEGATE_KEY_PEPPER_FILE"
        )


def issue_key(
    app: App,
    *,
    name: str = "",
    expires_at: datetime.datetime | None = None,
    value: bytes | None = None,
    pepper: bytes | None = None,
) -> tuple[Credential, str]:
    """A new Credential and its raw key, which cannot be had again.

    `value` brings a key from elsewhere: 8 to 128 printable ASCII characters. Raises KeyRefused, PepperError.
    """
    pepper = node_pepper() if pepper is None else pepper
    raw = keys.generate() if value is None else _imported(value)
    digest = keys.digest(raw.encode(), pepper)
    prefix, last = _visible(raw)
    try:
        with transaction.atomic():
            _claim(pepper)
            credential = Credential.objects.create(
                app=app, name=name, digest=digest, prefix=prefix, last_four=last, expires_at=expires_at
            )
    except IntegrityError:
        if Credential.objects.filter(digest=digest).exists():
            raise KeyRefused("This key is or was in use; it cannot be issued again.") from None
        raise
    return credential, raw


def revoke_key(credential: Credential) -> bool:
    """Make it unknown everywhere, for good. False if it was revoked already."""
    if credential.revoked_at is not None:
        return False
    credential.revoked_at = timezone.now()
    credential.save(update_fields=["revoked_at"])
    return True


def roll_key(
    credential: Credential, overlap: datetime.timedelta, *, pepper: bytes | None = None
) -> tuple[Credential, str]:
    """A new key in place of `credential`, which goes on for `overlap`. Raises KeyRefused, PepperError."""
    if not credential.usable:
        raise KeyRefused("A key that is revoked or expired cannot be rolled; issue another one.")
    until = timezone.now() + overlap
    with transaction.atomic():
        fresh, raw = issue_key(
            credential.app, name=credential.name, expires_at=credential.expires_at, pepper=pepper
        )
        if overlap <= datetime.timedelta(0):
            revoke_key(credential)
        elif credential.expires_at is None or credential.expires_at > until:
            credential.expires_at = until
            credential.save(update_fields=["expires_at"])
    return fresh, raw


def _claim(pepper: bytes) -> None:
    """The first key decides for the database which pepper is the right one."""
    version = IdentityVersion.current()
    mine = keys.digest(_CHECKED, pepper)
    unclaimed = IdentityVersion.objects.filter(pk=SINGLETON, pepper_check=b"")
    if not version.pepper_check and not unclaimed.update(pepper_check=mine):
        version = IdentityVersion.current()
    check_pepper(bytes(version.pepper_check), lambda text: keys.digest(text, pepper))


def _imported(value: bytes) -> str:
    if not keys.well_formed(value):
        raise KeyRefused(
            "A key from elsewhere has 8 to 128 printable ASCII characters, no blank at either end, and does "
            f"not begin with {keys.PREFIX} unless it was issued by Tidegate."
        )
    return value.decode("ascii")


def _visible(raw: str) -> tuple[str, str]:
    """What is shown of a key: of a short one so little that the rest cannot be guessed from it."""
    return raw[: min(keys.VISIBLE, len(raw) // 4)], raw[-min(4, len(raw) // 8) :]
