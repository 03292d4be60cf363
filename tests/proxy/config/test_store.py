"""The node's own copies of the last Snapshots."""

import os
import stat
import struct
import subprocess
import sys

import msgspec
import pytest

from proxy.config.snapshot import SCHEMA, Api, Policy, Route, Snapshot, Upstream
from proxy.config.store import KEPT, MAGIC, SnapshotStore, SnapshotUnusable, snapshot_digest
from proxy.node import NodeDir


def snapshot(revision):
    return Snapshot(
        revision=revision,
        apis=(Api("shop"),),
        routes=(Route("products", "shop", upstream="products"),),
        upstreams=(Upstream("products"),),
    )


@pytest.fixture
def snapshots(tmp_path):
    return SnapshotStore(NodeDir(tmp_path))


def test_it_reads_what_it_wrote(snapshots):
    snapshots.write(snapshot(7))
    assert snapshots.load(7) == snapshot(7)
    assert snapshots.load_latest() == (snapshot(7), [])


def test_an_empty_store_has_no_snapshot(snapshots):
    assert snapshots.load_latest() == (None, [])


def test_it_keeps_the_last_three_and_leaves_nothing_else(snapshots):
    for revision in (1, 2, 9, 10, 11):
        snapshots.write(snapshot(revision))
    assert snapshots.revisions() == [11, 10, 9]
    assert len(list(snapshots.folder.iterdir())) == KEPT + 1


def test_rolling_back_to_a_lower_number_keeps_what_was_just_written(snapshots):
    for revision in (5, 6, 7):
        snapshots.write(snapshot(revision))
    snapshots.write(snapshot(1))
    assert snapshots.load(1) == snapshot(1)


def test_files_are_private(snapshots):
    path = snapshots.write(snapshot(1))
    for file in (path, snapshots.folder / "key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_every_flipped_byte_is_noticed(snapshots):
    snapshots.write(snapshot(1))
    path = snapshots.write(snapshot(2))
    whole = path.read_bytes()
    for position in range(len(whole)):
        for mask in (0x01, 0x80, 0xFF):
            broken = bytearray(whole)
            broken[position] ^= mask
            path.write_bytes(broken)
            loaded = snapshots.load_latest()
            assert loaded.snapshot == snapshot(1), position
            assert [item.revision for item in loaded.rejected] == [2]


def test_every_truncation_and_every_addition_is_noticed(snapshots):
    snapshots.write(snapshot(1))
    path = snapshots.write(snapshot(2))
    whole = path.read_bytes()
    for data in [*(whole[:length] for length in range(len(whole))), whole + b"\0", whole + whole]:
        path.write_bytes(data)
        assert snapshots.load_latest().snapshot == snapshot(1)


def test_with_all_files_broken_there_is_nothing_and_all_reasons(snapshots):
    for revision in (1, 2, 3):
        snapshots.write(snapshot(revision)).write_bytes(b"")
    loaded = snapshots.load_latest()
    assert loaded.snapshot is None
    assert [(item.revision, item.reason) for item in loaded.rejected] == [
        (3, "is no snapshot file or a part of one"),
        (2, "is no snapshot file or a part of one"),
        (1, "is no snapshot file or a part of one"),
    ]


def test_another_schema_is_named(snapshots):
    path = snapshots.write(msgspec.structs.replace(snapshot(4), schema=SCHEMA + 1))
    assert path.read_bytes()[len(MAGIC) :][:4] == struct.pack(">I", SCHEMA + 1)
    with pytest.raises(SnapshotUnusable, match=f"schema {SCHEMA + 1}; .* reads schema {SCHEMA}"):
        snapshots.load(4)


def test_a_file_of_another_node_is_refused(snapshots, tmp_path):
    other = SnapshotStore(NodeDir(tmp_path / "other"))
    snapshots.path(1).write_bytes(other.write(snapshot(1)).read_bytes())
    with pytest.raises(SnapshotUnusable, match="not written by this node"):
        snapshots.load(1)


def test_a_renamed_file_is_refused(snapshots):
    snapshots.write(snapshot(1)).rename(snapshots.path(2))
    with pytest.raises(SnapshotUnusable, match="holds revision 1"):
        snapshots.load(2)


def test_a_broken_key_is_said(tmp_path, snapshots):
    (snapshots.folder / "key").write_bytes(b"short")
    with pytest.raises(SnapshotUnusable, match="node key"):
        SnapshotStore(NodeDir(tmp_path))


def test_a_failed_write_keeps_the_old_one(snapshots, monkeypatch):
    snapshots.write(snapshot(1))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        snapshots.write(snapshot(1))
    with pytest.raises(OSError, match="No space"):
        snapshots.write(snapshot(2))
    assert snapshots.load_latest() == (snapshot(1), [])
    assert not list(snapshots.folder.glob("*.part"))


def test_all_processes_get_the_same_key(tmp_path):
    first, second = SnapshotStore(NodeDir(tmp_path)), SnapshotStore(NodeDir(tmp_path))
    first.write(snapshot(1))
    assert second.load(1) == snapshot(1)


def test_strange_files_are_passed_over(snapshots):
    for name in ("x.snap", "-1.snap", "1.snap.part", "٣.snap"):
        (snapshots.folder / name).write_bytes(b"x")
    assert snapshots.revisions() == []


def test_the_digest_does_not_depend_on_the_number():
    assert snapshot_digest(snapshot(1)) == snapshot_digest(snapshot(2))
    assert snapshot_digest(snapshot(1)) != snapshot_digest(Snapshot(revision=1))


def described(config, methods=("GET", "PUT"), reverse=False):
    rows = [Policy("a", "a", config=config), Policy("b", "b"), Policy("c", "c", position=1)]
    routes = [
        Route("x", "shop", methods=methods, hosts=("a.example", "b.example"), order=0),
        Route("y", "shop"),
    ]
    upstreams = [Upstream("one"), Upstream("two")]
    if reverse:
        for items in (rows, routes, upstreams):
            items.reverse()
        routes[-1] = msgspec.structs.replace(routes[-1], hosts=routes[-1].hosts[::-1])
    return Snapshot(1, routes=tuple(routes), policies=tuple(rows), upstreams=tuple(upstreams))


def test_the_digest_is_of_the_meaning_not_of_the_spelling():
    plain = described({"limits": [{"limit": 5, "window": 60}], "z": {"b": 1, "a": 1e30}})
    other = described(
        {"z": {"a": 1e30, "b": 1.0}, "limits": ({"window": 60.0, "limit": 5},)}, ("PUT", "GET"), reverse=True
    )
    assert snapshot_digest(plain) == snapshot_digest(other)
    encoded = msgspec.msgpack.decode(msgspec.msgpack.encode(other), type=Snapshot)
    assert snapshot_digest(encoded) == snapshot_digest(plain)
    for config in (
        {"limits": [{"limit": 5, "window": 61}], "z": {"b": 1, "a": 1e30}},
        {"limits": [{"limit": 5, "window": 60}], "z": {"b": True, "a": 1e30}},
        {"limits": [{"limit": 5, "window": 60}], "z": {"b": "1", "a": 1e30}},
    ):
        assert snapshot_digest(described(config)) != snapshot_digest(plain)


def test_the_digest_does_not_see_whether_a_default_is_written_out():
    written = Snapshot(1, apis=(Api("shop", version="".join(("v", "1"))),))
    assert snapshot_digest(written) == snapshot_digest(Snapshot(1, apis=(Api("shop"),)))


def test_the_digest_keeps_an_order_that_means_something():
    first, second = described({"x": [1, 2]}), described({"x": [2, 1]})
    assert snapshot_digest(first) != snapshot_digest(second)
    routes = first.routes
    swapped = msgspec.structs.replace(first, routes=(msgspec.structs.replace(routes[0], order=2), routes[1]))
    assert snapshot_digest(swapped) != snapshot_digest(first)


def test_the_digest_is_the_same_in_every_process():
    code = (
        "from proxy.config.store import snapshot_digest; from tests.proxy.config.test_store import described;"
        "print(snapshot_digest(described({'b': 1, 'a': {'d': 2, 'c': [3]}})))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_the_store_needs_no_django():
    code = "import sys, proxy.config.store; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
