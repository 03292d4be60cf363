"""The writing half of the identity database; the node agent is the only one that uses it.

Every commit first clears the slots of readers that were killed in the middle of a look-up: one of them
would otherwise keep old pages for ever. A map that is full is doubled and the commit repeated.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import TypeVar

import lmdb
import msgspec

from proxy.identity.database import ACTIVE, FORMAT, ORIGIN, VERSION, IdentityDatabase, IdentityUnavailable
from proxy.identity.model import AppEntry, CredentialEntry

CURRENT_FORMAT = b"1"
BATCH = 20_000
MAX_MAP_BYTES = 1 << 40
_BROKEN = (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError, lmdb.PageNotFoundError)

_encode = msgspec.msgpack.Encoder().encode
_Item = TypeVar("_Item")
_Write = Callable[["lmdb.Transaction[bytes]"], object]


class Changes(msgspec.Struct):
    """What one commit does: removals first, then what is new or changed."""

    credentials: list[tuple[bytes, CredentialEntry]] = []
    apps: list[AppEntry] = []
    removed_credentials: list[bytes] = []
    removed_apps: list[str] = []

    def __len__(self) -> int:
        added = len(self.credentials) + len(self.apps)
        return added + len(self.removed_credentials) + len(self.removed_apps)

    def extend(self, other: Changes) -> None:
        """Do what `other` does as well."""
        self.credentials += other.credentials
        self.apps += other.apps
        self.removed_credentials += other.removed_credentials
        self.removed_apps += other.removed_apps


class IdentityWriter(IdentityDatabase):
    """Makes the database if need be. One that cannot be read is thrown away: it is but a copy."""

    writable = True

    def __init__(self, path: Path, map_bytes: int) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            super().__init__(path, map_bytes)
            fits = self._check_format()
        except _BROKEN:
            fits = False
        if not fits:
            self._start_afresh(map_bytes)

    def _check_format(self) -> bool:
        with self.environment.begin(write=True) as transaction:
            transaction.put(FORMAT, CURRENT_FORMAT, db=self.meta, overwrite=False)
            fits = transaction.get(FORMAT, db=self.meta) == CURRENT_FORMAT
        if not fits:
            self.close()
        return fits

    def _start_afresh(self, map_bytes: int) -> None:
        shutil.rmtree(self.path)
        self.path.mkdir(mode=0o700)
        self._open(map_bytes)
        self._check_format()

    def apply(self, changes: Changes, version: int | None = None) -> None:
        """One commit; with `version`, everything up to it is then here. Raises IdentityUnavailable."""
        self.begin().abort()

        def write(transaction: lmdb.Transaction[bytes]) -> None:
            self._write(transaction, self.side, changes)
            if version is not None:
                transaction.put(VERSION, b"%d" % version, db=self.meta)

        self._commit(write)

    def replace_all(
        self,
        apps: Iterable[AppEntry],
        credentials: Iterable[tuple[bytes, CredentialEntry]],
        version: int,
        origin: str,
    ) -> int:
        """Fill the other side in batches, turn over in one commit, empty this side. Returns how many."""
        self.begin().abort()
        old, new = self.side, 1 - self.side
        self._commit(lambda transaction: self._empty(transaction, new))
        count = self._fill(new, (Changes(apps=batch) for batch in _batches(apps)))
        count += self._fill(new, (Changes(credentials=batch) for batch in _batches(credentials)))
        self._commit(lambda transaction: self._turn(transaction, new, version, origin))
        self._commit(lambda transaction: self._empty(transaction, old))
        return count

    def _fill(self, side: int, parts: Iterable[Changes]) -> int:
        count = 0
        for part in parts:
            self._commit(lambda transaction, part=part: self._write(transaction, side, part))  # type: ignore[misc]
            count += len(part)
        return count

    def _turn(self, transaction: lmdb.Transaction[bytes], side: int, version: int, origin: str) -> None:
        notes = {ACTIVE: b"%d" % side, VERSION: b"%d" % version, ORIGIN: origin.encode()}
        for name, value in notes.items():
            transaction.put(name, value, db=self.meta)

    def _empty(self, transaction: lmdb.Transaction[bytes], side: int) -> None:
        transaction.drop(self.credentials[side], delete=False)
        transaction.drop(self.apps[side], delete=False)

    def _write(self, transaction: lmdb.Transaction[bytes], side: int, changes: Changes) -> None:
        apps, credentials = self.apps[side], self.credentials[side]
        for digest in changes.removed_credentials:
            transaction.delete(digest, db=credentials)
        for app_id in changes.removed_apps:
            transaction.delete(app_id.encode(), db=apps)
        for app in changes.apps:
            transaction.put(app.id.encode(), _encode(app), db=apps)
        if changes.credentials:
            _put_credentials(transaction.cursor(credentials), changes.credentials)

    def _commit(self, write: _Write) -> None:
        self.environment.reader_check()
        while True:
            try:
                with self.environment.begin(write=True) as transaction:
                    write(transaction)
                return
            except lmdb.MapFullError:
                self._grow()
            except lmdb.MapResizedError:
                self.environment.set_mapsize(0)
            except lmdb.Error as error:
                raise IdentityUnavailable(f"the identity store cannot be written: {error}") from error

    def _grow(self) -> None:
        size = 2 * self.environment.info()["map_size"]
        if size > MAX_MAP_BYTES:
            raise IdentityUnavailable("the identity store is larger than it may be")
        self.environment.set_mapsize(size)


def _put_credentials(cursor: lmdb.Cursor[bytes], rows: list[tuple[bytes, CredentialEntry]]) -> None:
    """Rows in order behind all that is there are appended, which fills pages: a third less to map."""
    rows = sorted(rows, key=lambda row: row[0])
    distinct = all(first[0] != second[0] for first, second in pairwise(rows))
    append = distinct and (not cursor.last() or cursor.key() < rows[0][0])
    cursor.putmulti([(digest, _encode(entry)) for digest, entry in rows], append=append)


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
