"""Who a key belongs to: what the request path asks, in memory first, then in the node-local database."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, MutableSequence
from pathlib import Path
from typing import Literal

import lmdb

from proxy.identity.database import ORIGIN, VERSION, IdentityDatabase, IdentityUnavailable
from proxy.identity.keys import digester, looks_valid
from proxy.identity.model import AppEntry, CredentialEntry, Identity
from proxy.identity.writer import Changes, IdentityWriter
from proxy.node import IDENTITY, SharedState

MAP_BYTES = 256 << 20
MAX_KNOWN = 8192
MAX_REFUSED = 1024
"""Apart from the known ones, so that a flood of made-up keys pushes none of them out."""

Verdict = Literal["ok", "unknown", "expired", "suspended"]


class IdentityStore:
    """The identities of this node. Not for several threads at once.

    With `writable` (the node agent, and tests) it can be changed too; a process opens a store only once.
    `hits`, `misses` and `clears` count what became of look-ups and of the memory in front of the database.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        pepper: bytes,
        state: SharedState | None = None,
        writable: bool = False,
        map_size: int = MAP_BYTES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(path)
        self.digest = digester(pepper)
        """The form in which a key is stored, under this node's pepper."""
        self._map_bytes = map_size
        self._now = now
        self._numbers: MutableSequence[int] | memoryview[int] = (
            [0] * (IDENTITY + 1) if state is None else state.numbers
        )
        self._known: dict[bytes, Identity] = {}
        self._refused: dict[bytes, Verdict] = {}
        self.hits = self.misses = self.clears = 0
        self._generation = self._numbers[IDENTITY]
        self._writer = IdentityWriter(self._path, map_size) if writable else None
        self._unannounced = writable or state is None
        """Changes are not heard of, so that each look must be at the database as it is."""
        self._database: IdentityDatabase | None = self._writer
        if self._writer is None:
            self._reopen()
        elif self._generation == 0 and self._writer.note(ORIGIN):
            self._announce()

    def close(self) -> None:
        """Unmap the database and forget what is remembered."""
        self._known.clear()
        self._refused.clear()
        if self._database is not None:
            self._database.close()
        self._database = self._writer = None

    # --- The request path -----------------------------------------------------------------------------

    def lookup(self, raw_key: bytes) -> Identity | None:
        """The caller who showed this key; None for one that is not good now. Raises IdentityUnavailable."""
        if self._numbers[IDENTITY] != self._generation:
            self._refresh()
        identity = self._known.get(raw_key)
        if identity is None:
            if raw_key in self._refused:
                self.hits += 1
                return None
            return self._find(raw_key)
        if identity.expires and identity.expires <= self._now():
            del self._known[raw_key]
            return self._find(raw_key)
        self.hits += 1
        return identity

    def follow(self) -> None:
        """Take note of changes although nobody asks; called some times a second."""
        if self._numbers[IDENTITY] != self._generation:
            self._refresh()

    def why(self, raw_key: bytes) -> Verdict:
        """What `lookup` makes of this key; cheap after it. Raises IdentityUnavailable."""
        return "ok" if self.lookup(raw_key) is not None else self._refused.get(raw_key, "unknown")

    def app(self, app_id: str) -> AppEntry | None:
        """The App of this id. Raises IdentityUnavailable."""
        if self._numbers[IDENTITY] != self._generation:
            self._refresh()
        return self._readable().app(app_id)

    def _find(self, raw_key: bytes) -> Identity | None:
        if not looks_valid(raw_key):
            return None
        self.misses += 1
        credential, app = (self._database or self._readable()).find(self.digest(raw_key))
        if self._unannounced:
            self._database.let_go()  # type: ignore[union-attr]
        if credential is None or app is None or credential.kind != "key":
            self._refuse(raw_key, "unknown")
            return None
        if credential.expires and credential.expires <= self._now():
            self._refuse(raw_key, "expired")
            return None
        if not app.active:
            self._refuse(raw_key, "suspended")
            return None
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
            self.clears += 1
        identity = self._known[raw_key] = Identity(
            credential.id, app.id, app.name, app.groups, app.plans, credential.expires
        )
        return identity

    def _refuse(self, raw_key: bytes, verdict: Verdict) -> None:
        if len(self._refused) >= MAX_REFUSED:
            self._refused.clear()
        self._refused[raw_key] = verdict

    def _refresh(self) -> None:
        """Something changed. The number is taken before anything is read: a later change is seen again."""
        self._generation = self._numbers[IDENTITY]
        self._known.clear()
        self._refused.clear()
        self.clears += 1
        if self._database is not None:
            self._database.let_go()
        if self._writer is None and (self._database is None or self._database.replaced):
            self._reopen()

    def _reopen(self) -> None:
        """Open for reading; without a database that can be read, look-ups raise until there is one."""
        if self._database is not None:
            self._database.close()
            self._database = None
        try:
            if not (self._path / "data.mdb").exists():
                IdentityWriter(self._path, self._map_bytes).close()
            self._database = IdentityDatabase(self._path)
        except (lmdb.Error, OSError):
            self._database = None

    def _readable(self) -> IdentityDatabase:
        if self._database is None:
            self._reopen()
        if self._database is None:
            raise IdentityUnavailable("the identity store cannot be opened")
        return self._database

    # --- The node agent -------------------------------------------------------------------------------

    def version(self) -> int:
        """How far the main database has been followed; 0 if not at all."""
        return int(self._readable().note(VERSION) or b"0")

    def origin(self) -> str:
        """Which main database this is a copy of; empty if of none yet."""
        return self._readable().note(ORIGIN).decode()

    def counts(self) -> tuple[int, int]:
        """Numbers of Credentials and Apps."""
        return self._readable().counts()

    def apply(self, changes: Changes, version: int | None = None) -> None:
        """Change what is said, in one commit, and tell all processes of the node."""
        self._writable().apply(changes, version)
        if len(changes):
            self._announce()

    def replace_all(
        self,
        apps: Iterable[AppEntry],
        credentials: Iterable[tuple[bytes, CredentialEntry]],
        *,
        version: int,
        origin: str,
    ) -> int:
        """Replace everything at once and tell all processes. Credentials in order of digest take least space.

        Whatever the iterables raise leaves the store as it was.
        """
        count = self._writable().replace_all(apps, credentials, version, origin)
        self._announce()
        return count

    def _announce(self) -> None:
        self._numbers[IDENTITY] += 1

    def _writable(self) -> IdentityWriter:
        if self._writer is None:
            raise IdentityUnavailable("this process may only read the identity store")
        return self._writer
