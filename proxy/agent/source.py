"""Where the node agent gets configuration and identities from."""

from __future__ import annotations

from typing import Protocol

from proxy.config.snapshot import Snapshot


class Unusable(Exception):
    """A Revision that this node cannot run; the message says why. It goes on with what it has."""


class Source(Protocol):
    """Where configuration and identities come from. Every method may raise whatever the database raises."""

    def newest(self) -> tuple[int, str]:
        """Number and digest of the newest Revision; 0 and "" if nothing was published yet."""

    def snapshot(self, number: int) -> Snapshot:
        """That Revision, compiled. Raises `Unusable`."""

    def sync_identities(self) -> None:
        """Bring the identity store in step."""

    def forget(self) -> None:
        """Give up the connection; the next call makes a new one."""
