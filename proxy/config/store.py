"""The node's own copies of the last Snapshots: it starts from them when the database is gone.

A file is `TGSNAP01`, the schema (u32, big-endian), a keyed BLAKE2b digest (32 bytes) of schema and content,
then the Snapshot as msgpack. It is written aside, flushed to the disk and renamed, so that it is whole or
not there. The key lies beside the files: what was not written by this node is not taken for its own.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import struct
from pathlib import Path
from typing import NamedTuple

import msgspec

from proxy.config.snapshot import SCHEMA, Route, Snapshot
from proxy.node import NodeDir

MAGIC = b"TGSNAP01"
KEPT = 3
_SCHEMA = struct.Struct(">I")
_DIGEST_BYTES = 32
_HEAD_BYTES = len(MAGIC) + _SCHEMA.size + _DIGEST_BYTES
_encoder = msgspec.msgpack.Encoder()
_canonical = msgspec.msgpack.Encoder(order="sorted")
_ATOMS = frozenset((str, int, bool, type(None)))
_decoder = msgspec.msgpack.Decoder(Snapshot)


class SnapshotUnusable(Exception):
    """A snapshot file is missing, broken, foreign or of another schema; the message says which and why."""


class Rejected(NamedTuple):
    """A snapshot file that was passed over, and why."""

    revision: int
    reason: str


class Loaded(NamedTuple):
    """The newest usable Snapshot, None if there is none, and the newer files that were not usable."""

    snapshot: Snapshot | None
    rejected: list[Rejected]


class SnapshotStore:
    """Writes and reads `snapshots/N.snap`. One process writes, the node agent; any number reads."""

    def __init__(self, node_dir: NodeDir) -> None:
        self.folder = node_dir.snapshots
        self._key = _node_key(self.folder / "key")

    def write(self, snapshot: Snapshot) -> Path:
        """Store a Snapshot, then forget all but the last three. Raises OSError (disk full, no permission)."""
        content = _encoder.encode(snapshot)
        schema = _SCHEMA.pack(snapshot.schema)
        path = self.path(snapshot.revision)
        _write_whole(path, b"".join((MAGIC, schema, self._digest(schema, content), content)))
        for revision in self.revisions()[KEPT:]:
            if revision != snapshot.revision:
                self.path(revision).unlink(missing_ok=True)
        return path

    def load(self, revision: int) -> Snapshot:
        """The Snapshot of one revision. Raises `SnapshotUnusable`; never returns a part of one."""
        try:
            data = self.path(revision).read_bytes()
        except OSError as error:
            raise SnapshotUnusable(f"cannot be read: {error.strerror}") from None
        snapshot = self._decode(data)
        if snapshot.revision != revision:
            raise SnapshotUnusable(f"holds revision {snapshot.revision}")
        return snapshot

    def load_latest(self) -> Loaded:
        """The newest Snapshot that is usable; broken files are listed and passed over."""
        rejected: list[Rejected] = []
        for revision in self.revisions():
            try:
                return Loaded(self.load(revision), rejected)
            except SnapshotUnusable as error:
                rejected.append(Rejected(revision, str(error)))
        return Loaded(None, rejected)

    def revisions(self) -> list[int]:
        """Revisions that there are files of, newest first."""
        names = (path.stem for path in self.folder.glob("*.snap"))
        return sorted((int(name) for name in names if name.isascii() and name.isdigit()), reverse=True)

    def path(self, revision: int) -> Path:
        """Where the Snapshot of a revision lies."""
        return self.folder / f"{revision}.snap"

    def _digest(self, schema: bytes, content: bytes) -> bytes:
        return hashlib.blake2b(schema + content, digest_size=_DIGEST_BYTES, key=self._key).digest()

    def _decode(self, data: bytes) -> Snapshot:
        if len(data) < _HEAD_BYTES or not data.startswith(MAGIC):
            raise SnapshotUnusable("is no snapshot file or a part of one")
        schema = data[len(MAGIC) : len(MAGIC) + _SCHEMA.size]
        number = _SCHEMA.unpack(schema)[0]
        content = data[_HEAD_BYTES:]
        digest = data[_HEAD_BYTES - _DIGEST_BYTES : _HEAD_BYTES]
        if not hmac.compare_digest(digest, self._digest(schema, content)):
            raise SnapshotUnusable("is damaged or was not written by this node: its checksum does not match")
        if number != SCHEMA:
            raise SnapshotUnusable(f"has schema {number}; this version of Tidegate reads schema {SCHEMA}")
        try:
            return _decoder.decode(content)
        except msgspec.DecodeError as error:
            raise SnapshotUnusable(f"cannot be decoded: {error}") from None


def snapshot_digest(snapshot: Snapshot) -> str:
    """What identifies a compiled Snapshot, whatever its revision number: BLAKE2b, 64 hex digits.

    Two that mean the same have the same: databases and files give keys back in an order of their own, whole
    numbers with or without a point, and defaults written out or not.
    """
    content = _canonical.encode(_settled(snapshot))
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def _settled(snapshot: Snapshot) -> object:
    """All fields of all rows, those whose order means nothing in order; that of Routes is in their `order`."""
    return _plain(
        msgspec.structs.replace(
            snapshot,
            revision=0,
            apis=tuple(sorted(snapshot.apis, key=lambda row: row.slug)),
            routes=tuple(_settled_route(row) for row in sorted(snapshot.routes, key=lambda row: row.name)),
            upstreams=tuple(sorted(snapshot.upstreams, key=lambda row: row.name)),
            policies=tuple(sorted(snapshot.policies, key=lambda row: row.label)),
            plans=tuple(sorted(snapshot.plans, key=lambda row: row.name)),
            certificates=tuple(sorted(snapshot.certificates, key=lambda row: row.name)),
            trusted_proxies=tuple(sorted(snapshot.trusted_proxies)),
        )
    )


def _settled_route(route: Route) -> Route:
    hosts, methods = tuple(sorted(route.hosts)), tuple(sorted(route.methods))
    return msgspec.structs.replace(route, hosts=hosts, methods=methods)


def _plain(value: object) -> object:
    """Structs as mappings with all their fields, at any depth, and 1.0 as 1.

    The encoder leaves a default out only if it is the very object, which a string from a database is not.
    """
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {name: item if type(item) in _ATOMS else _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _write_whole(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _node_key(path: Path) -> bytes:
    """The node's key, made at random the first time; several processes may start at once."""
    try:
        return _read_key(path)
    except FileNotFoundError:
        pass
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) != 32:
        raise SnapshotUnusable(f"the node key {path} is broken; remove it, and the snapshots are made anew")
    return key
