"""The node-local database of identities (LMDB), as its many readers see it.

There are two sides, each with Credentials by digest and Apps by id. One is in use; the writer fills the
other and turns over when everything is replaced, so that readers see the old whole and then the new whole.
"""

from __future__ import annotations

from pathlib import Path

import lmdb
import msgspec

from proxy.identity.model import AppEntry, CredentialEntry

MAX_READERS = 1024
MAX_APPS = 16384
"""Decoded Apps that are remembered until something is written; some 600 bytes each."""
SIDES = 2
META, ACTIVE, VERSION, ORIGIN, FORMAT = b"meta", b"active", b"version", b"origin", b"format"

_decode_credential = msgspec.msgpack.Decoder(CredentialEntry).decode
_app_decoder = msgspec.msgpack.Decoder(AppEntry)


class IdentityUnavailable(Exception):
    """The local database cannot be read or written: nobody can be identified now."""


class IdentityDatabase:
    """One open LMDB environment in the directory `path`; a process may open it once at a time."""

    writable = False
    _reading: lmdb.Transaction[bytes] | None = None

    def __init__(self, path: Path, map_bytes: int = 0) -> None:
        self.path = path
        self.file = path / "data.mdb"
        self._open(map_bytes)

    def _open(self, map_bytes: int) -> None:
        self.environment = lmdb.open(
            str(self.path),
            map_size=map_bytes,
            readonly=not self.writable,
            create=self.writable,
            max_dbs=2 * SIDES + 1,
            max_readers=MAX_READERS,
            mode=0o600,
            metasync=False,
        )
        try:
            self._open_tables()
            self.inode = self.file.stat().st_ino
        except (lmdb.Error, OSError):
            self.close()
            raise
        self._seen, self.side = -1, 0
        self._remembered: dict[str, AppEntry] = {}

    def _open_tables(self) -> None:
        opened = self.environment.open_db
        self.meta = opened(META, create=self.writable)
        self.credentials = [opened(b"credentials.%d" % side, create=self.writable) for side in range(SIDES)]
        self.apps = [opened(b"apps.%d" % side, create=self.writable) for side in range(SIDES)]

    def close(self) -> None:
        """Unmap. Nothing may be in use."""
        self.let_go()
        self.environment.close()

    def hold(self) -> lmdb.Transaction[bytes]:
        """A read transaction to use until `let_go`. Held for long it keeps the writer from reusing pages."""
        self._reading = self.begin()
        return self._reading

    def let_go(self) -> None:
        """Give up the view of the database that is held, if one is; the next look sees what is new."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.abort()

    @property
    def replaced(self) -> bool:
        """The file at our path is another one than we have open, or gone."""
        try:
            return self.file.stat().st_ino != self.inode
        except FileNotFoundError:
            return True

    def begin(self) -> lmdb.Transaction[bytes]:
        """A read transaction (LMDB keeps it for reuse), with `side` as it is in it. Abort it soon."""
        try:
            transaction = self.environment.begin()
        except lmdb.MapResizedError:
            self.environment.set_mapsize(0)
            transaction = self.environment.begin()
        number = transaction.id()
        if number != self._seen:
            self.side = 1 if transaction.get(ACTIVE, db=self.meta) == b"1" else 0
            self._seen = number
            self._remembered.clear()
        return transaction

    def find(self, digest: bytes) -> tuple[CredentialEntry | None, AppEntry | None]:
        """The Credential under this digest and its App; some microseconds. Raises IdentityUnavailable."""
        try:
            transaction = self._reading or self.hold()
            packed = transaction.get(digest, None, self.credentials[self.side])
            if packed is None:
                return None, None
            credential = _decode_credential(packed)
            app = self._remembered.get(credential.app_id) or self._load_app(transaction, credential.app_id)
            return credential, app
        except (lmdb.Error, msgspec.MsgspecError) as error:
            self.let_go()
            raise _unreadable(error) from error

    def app(self, app_id: str) -> AppEntry | None:
        """The App of this id. Raises IdentityUnavailable."""
        try:
            transaction = self.begin()
            try:
                return self._remembered.get(app_id) or self._load_app(transaction, app_id)
            finally:
                transaction.abort()
        except (lmdb.Error, msgspec.MsgspecError) as error:
            raise _unreadable(error) from error

    def _load_app(self, transaction: lmdb.Transaction[bytes], app_id: str) -> AppEntry | None:
        packed = transaction.get(app_id.encode(), None, self.apps[self.side])
        if packed is None:
            return None
        if len(self._remembered) >= MAX_APPS:
            self._remembered.clear()
        app = self._remembered[app_id] = _app_decoder.decode(packed)
        return app

    def note(self, name: bytes) -> bytes:
        """What the writer noted under one of the names above; empty if nothing."""
        try:
            transaction = self.begin()
            try:
                return transaction.get(name, None, self.meta) or b""
            finally:
                transaction.abort()
        except lmdb.Error as error:
            raise _unreadable(error) from error

    def counts(self) -> tuple[int, int]:
        """Numbers of Credentials and Apps."""
        transaction = self.begin()
        try:
            credentials, apps = self.credentials[self.side], self.apps[self.side]
            return transaction.stat(credentials)["entries"], transaction.stat(apps)["entries"]
        finally:
            transaction.abort()


def _unreadable(error: Exception) -> IdentityUnavailable:
    return IdentityUnavailable(f"the identity store cannot be read: {type(error).__name__}")
