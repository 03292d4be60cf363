"""Who calls: what the identity store knows of a Credential and of the App behind it."""

import msgspec


class CredentialEntry(msgspec.Struct, frozen=True, array_like=True):
    """A Credential as the node-local store holds it; `expires` is Unix seconds, 0 means never."""

    id: str
    app_id: str
    kind: str = "key"
    expires: float = 0.0
    secret: bytes = b""
    """Verification material of kinds other than `key`; empty for keys, whose hash is their index."""


class AppEntry(msgspec.Struct, frozen=True, array_like=True):
    """An App as the store holds it. `plans` maps an Api's slug to the Plan of an approved Subscription."""

    id: str
    name: str
    active: bool = True
    groups: tuple[str, ...] = ()
    plans: dict[str, str] = {}


class Identity(msgspec.Struct, frozen=True):
    """The caller of one request: an App and the Credential it showed."""

    credential_id: str
    app_id: str
    app: str
    groups: tuple[str, ...]
    plans: dict[str, str]
    expires: float
