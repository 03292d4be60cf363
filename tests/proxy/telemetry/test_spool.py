"""The spool: what was appended is read, in order, whatever happens to the process, the disk or the file."""

import os
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from proxy.telemetry import spool as spool_module
from proxy.telemetry.record import TrafficRecord
from proxy.telemetry.spool import (
    MAX_PAYLOAD,
    SegmentCorrupt,
    Spool,
    folder_bytes,
    read,
    read_blocks,
    seal_abandoned,
    segments,
)
from tests import records

RECORD = msgspec.structs.replace(
    records.RECORD,
    request_id="r0",
    path="/orders/%C3%BC",
    app="app",
    client_ip="192.0.2.1",
    duration_us=1500,
    upstream_us=1200,
    bytes_out=42,
    revision=3,
    user_agent="probe",
)
ROOT = Path(__file__).resolve().parents[3]


def record(number: int, user_agent: str = "probe") -> TrafficRecord:
    return msgspec.structs.replace(RECORD, request_id=f"r{number}", user_agent=user_agent)


def ids(folder: Path) -> list[str]:
    return [found.request_id for segment in segments(folder) for _, found in read(segment.path)]


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n1", slot=0)
    spool.append(RECORD)
    (segment,) = segments(tmp_path)
    assert not segment.sealed
    assert [found for _, found in read(segment.path)] == [RECORD]
    spool.close()


def test_an_open_segment_is_read_live_from_the_last_offset(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n1", slot=0)
    path = segments(tmp_path)[0].path
    offset, seen = 0, []
    for number in range(5):
        spool.append(record(number))
        for end, found in read(path, offset):
            offset = end
            seen.append(found.request_id)
    assert seen == ["r0", "r1", "r2", "r3", "r4"]
    assert list(read(path, offset)) == []
    spool.close()


def test_offsets_stay_valid_when_the_segment_is_sealed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n1", slot=0)
    path = segments(tmp_path)[0].path
    spool.append(record(0))
    ((offset, _),) = read(path)
    spool.append(record(1))
    spool.close()
    assert not path.exists()
    assert [found.request_id for _, found in read(path, offset)] == ["r1"]


def test_close_cuts_the_file_to_its_records(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n1", slot=0)
    spool.append(RECORD)
    spool.close()
    (segment,) = segments(tmp_path)
    assert segment.sealed
    assert segment.size < 1000
    assert segment.path.name.endswith(".seg")


def test_an_empty_segment_leaves_nothing(tmp_path: Path) -> None:
    Spool(tmp_path, node="n1", slot=0).close()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_spool_counts_what_comes_late(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n1", slot=0)
    spool.close()
    spool.append(RECORD)
    spool.close()
    assert spool.dropped == 1


def test_it_rolls_and_keeps_the_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="edge-1", slot=7, segment_bytes=4096)
    for number in range(200):
        spool.append(record(number, "x" * (number % 37)))
    spool.close()
    found = segments(tmp_path)
    assert len(found) > 5
    assert {(segment.node, segment.slot, segment.sealed) for segment in found} == {("edge-1", 7, True)}
    assert ids(tmp_path) == [f"r{number}" for number in range(200)]
    assert spool.dropped == 0


@pytest.mark.parametrize("room", range(9))
def test_a_record_that_just_fits_or_just_does_not(tmp_path: Path, room: int) -> None:
    size = len(msgspec.msgpack.encode(RECORD))
    spool = Spool(tmp_path, node="n", slot=0, segment_bytes=4096)
    filler = 4096 - 8 - 2 * (size + 8 + 3) - room
    long = msgspec.structs.replace(RECORD, user_agent="u" * (filler - size))
    for each in (long, RECORD, RECORD, RECORD):
        spool.append(each)
    spool.close()
    assert [found for segment in segments(tmp_path) for _, found in read(segment.path)] == [
        long,
        RECORD,
        RECORD,
        RECORD,
    ]


def rows(*numbers: int) -> list[tuple[object, ...]]:
    return [msgspec.structs.astuple(record(number, "x" * (number % 37))) for number in numbers]


def test_the_records_of_a_turn_come_back_in_order_over_segments(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n1", slot=0, segment_bytes=4096)
    number = 0
    for size in (1, 2, 3, 0, 7, 1, 40, 5):
        spool.append_all(rows(*range(number, number + size)))
        number += size
        assert ids(tmp_path) == [f"r{index}" for index in range(number)]
    spool.close()
    assert spool.dropped == 0
    assert len(segments(tmp_path)) > 1
    assert [found.user_agent for segment in segments(tmp_path) for _, found in read(segment.path)] == [
        "x" * (index % 37) for index in range(number)
    ]


@pytest.mark.parametrize("bad", [("\ud800",), ("x" * MAX_PAYLOAD,)])
def test_one_record_that_cannot_be_written_costs_no_other(tmp_path: Path, bad: tuple[object, ...]) -> None:
    spool = Spool(tmp_path, node="n1", slot=0)
    spool.append_all([*rows(0, 1), bad, *rows(2)])
    assert ids(tmp_path) == ["r0", "r1", "r2"]
    assert spool.dropped == 1
    spool.close()


def test_two_slots_and_two_writers_of_one_slot_do_not_meet(tmp_path: Path) -> None:
    spools = [Spool(tmp_path, node="n1", slot=slot) for slot in (0, 1, 1)]
    for number in range(9):
        spools[number % 3].append(record(number))
    assert sorted(ids(tmp_path)) == [f"r{number}" for number in range(9)]
    for spool in spools:
        spool.close()
    assert sorted(ids(tmp_path)) == [f"r{number}" for number in range(9)]


@pytest.mark.parametrize(
    "bad",
    [
        msgspec.structs.replace(RECORD, path="\ud800"),
        msgspec.structs.replace(RECORD, bytes_in=1 << 70),
        msgspec.structs.replace(RECORD, path="x" * (MAX_PAYLOAD + 1)),
        msgspec.structs.replace(RECORD, status=object()),
    ],
    ids=["surrogate", "integer", "size", "type"],
)
def test_a_record_that_cannot_be_written_is_counted_and_nothing_else(
    tmp_path: Path, bad: TrafficRecord
) -> None:
    spool = Spool(tmp_path, node="n1", slot=0)
    for each in (record(0), bad, record(1)):
        spool.append(each)
    assert spool.dropped == 1
    assert ids(tmp_path) == ["r0", "r1"]
    spool.close()


@pytest.mark.parametrize("node", ["", "a/b", "..", "a b", "x" * 65, "a\n"])
def test_a_node_name_that_is_no_file_name_is_refused(tmp_path: Path, node: str) -> None:
    with pytest.raises(ValueError, match="Node name"):
        Spool(tmp_path, node=node, slot=0)


def test_the_budget_drops_the_newest_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(spool_module.time, "monotonic", lambda: clock[0])
    spool = Spool(tmp_path, node="n1", slot=0, segment_bytes=4096, max_bytes=3 * 4096)
    for number in range(100):
        spool.append(record(number))
    kept = ids(tmp_path)
    assert kept == [f"r{number}" for number in range(len(kept))]
    assert spool.dropped == 100 - len(kept) > 0
    assert folder_bytes(tmp_path) <= 3 * 4096
    for segment in segments(tmp_path):
        segment.path.unlink()
    spool.append(record(100))
    assert ids(tmp_path) == [], "it tries at most once a second"
    clock[0] += 1.01
    spool.append(record(101))
    assert ids(tmp_path) == ["r101"]
    spool.close()


def test_while_dropping_the_folder_is_looked_at_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    monkeypatch.setattr(spool_module, "folder_bytes", lambda folder: looks.append(folder) or 1 << 40)
    spool = Spool(tmp_path, node="n1", slot=0)
    for number in range(1000):
        spool.append(record(number))
    assert spool.dropped == 1000
    assert len(looks) == 1
    spool.close()


def test_a_file_size_limit_is_dropped_records_not_a_crash(tmp_path: Path) -> None:
    script = """
import resource, sys, pathlib
from proxy.telemetry.spool import Spool
from tests.proxy.telemetry.test_spool import RECORD
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
spool = Spool(pathlib.Path(sys.argv[1]), node="n", slot=0, segment_bytes=16384)
for _ in range(50): spool.append(RECORD)
print(spool.dropped)
"""
    done = _python(script, tmp_path)
    assert done.stdout == "50\n", done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mounted)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


def test_a_full_disk_drops_the_newest_and_recovers(small_disk: Path) -> None:
    spool = Spool(small_disk, node="n", slot=0, segment_bytes=65536)
    for number in range(3000):
        spool.append(record(number))
    kept = ids(small_disk)
    assert kept == [f"r{number}" for number in range(len(kept))]
    assert spool.dropped == 3000 - len(kept) > 0
    for segment in segments(small_disk):
        segment.path.unlink()
    deadline = time.monotonic() + 5
    while not ids(small_disk) and time.monotonic() < deadline:
        spool.append(record(3000))
        time.sleep(0.02)
    assert ids(small_disk) == ["r3000"]
    spool.close()


def _python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=30
    )


WRITER = """
import msgspec, os, sys, pathlib
from proxy.telemetry.spool import Spool
from tests.proxy.telemetry.test_spool import record
spool = Spool(pathlib.Path(sys.argv[1]), node="n", slot=3, segment_bytes=65536)
number = 0
while True:
    spool.append_all([msgspec.structs.astuple(record(number + index)) for index in range(TOGETHER)])
    number += TOGETHER
    os.write(1, b"%d\\n" % number)
"""


@pytest.mark.parametrize("together", [1, 5])
def test_kill_9_loses_nothing_that_was_appended(tmp_path: Path, together: int) -> None:
    script = WRITER.replace("TOGETHER", str(together))
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        said = b"".join(writer.stdout.readline() for _ in range(2000))
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read()
    appended = int(said.splitlines()[-1])
    assert writer.returncode == -signal.SIGKILL
    for _ in ("as it was left", "after the next worker of the slot began"):
        found = ids(tmp_path)
        # The last append may have been under way, or complete and not yet reported; over the edge of a segment
        # it is one record after the other.
        assert found == [f"r{number}" for number in range(len(found))]
        assert 0 <= len(found) - appended <= together
        Spool(tmp_path, node="n", slot=3).close()
    assert all(segment.sealed for segment in segments(tmp_path))


def test_only_the_segments_of_the_dead_are_sealed(tmp_path: Path) -> None:
    alive = Spool(tmp_path, node="n", slot=0)
    alive.append(record(0))
    done = _python(
        "import os, sys, pathlib\nfrom proxy.telemetry.spool import Spool\n"
        "from tests.proxy.telemetry.test_spool import record\n"
        "spool = Spool(pathlib.Path(sys.argv[1]), node='n', slot=1)\nspool.append(record(1))\nos._exit(0)",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "n-2-5-000001.blank").touch()
    assert seal_abandoned(tmp_path) == 1
    assert [(segment.slot, segment.sealed) for segment in segments(tmp_path)] == [(0, False), (1, True)]
    alive.append(record(2))
    assert sorted(ids(tmp_path)) == ["r0", "r1", "r2"]
    assert not list(tmp_path.glob("*.blank"))
    alive.close()


def test_other_files_in_the_folder_are_no_segments(tmp_path: Path) -> None:
    for name in (
        "x.seg",
        "n-0-1.seg",
        "n-0-1-2.bad",
        "n-0-1-2.blank",
        "README",
        "n-\u0663-1-2.seg",
        "\n-0-1-2.seg",
    ):
        (tmp_path / name).touch()
    (tmp_path / os.fsdecode(b"\xff-0-1-2.seg")).touch()  # a name that no database takes
    (tmp_path / "n-0-3-4.seg").symlink_to("n-0-3-4.seg")
    assert segments(tmp_path) == []


def _sample(tmp_path: Path, suffix: str) -> tuple[Path, bytes, list[str]]:
    writer = Spool(tmp_path, node="n", slot=0, segment_bytes=4096)
    for number in range(4):
        writer.append(record(number, "x" * number))
    source = segments(tmp_path)[0].path
    data = source.read_bytes()
    expected = [found.request_id for _, found in read(source)]
    writer.close()
    if suffix == ".seg":
        (sealed,) = segments(tmp_path)
        data = sealed.path.read_bytes()
    return tmp_path / f"n-0-9-000009{suffix}", data, expected


def _read_damaged(path: Path) -> tuple[list[str], bool]:
    found = []
    try:
        for _, each in read(path):
            found.append(each.request_id)
            assert len(found) < 100
    except SegmentCorrupt as error:
        assert error.path == path
        assert error.reason
        return found, True
    return found, False


@pytest.mark.parametrize("suffix", [".open", ".seg"])
def test_a_file_cut_anywhere_gives_a_prefix(tmp_path: Path, suffix: str) -> None:
    path, data, expected = _sample(tmp_path, suffix)
    for length in range(len(data) if suffix == ".seg" else 1100):
        path.write_bytes(data[:length])
        found, corrupt = _read_damaged(path)
        assert found == expected[: len(found)]
        if suffix == ".open":
            assert not corrupt, "it may just not be written yet"
        elif not corrupt:
            assert length % 4 == 0 or len(found) >= 1, "a sealed segment never loses records silently"


@pytest.mark.parametrize("suffix", [".open", ".seg"])
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_byte_flipped_anywhere_gives_a_prefix_and_never_a_wrong_record(
    tmp_path: Path, suffix: str, flip: int
) -> None:
    path, data, expected = _sample(tmp_path, suffix)
    whole, _ = _read_damaged(_written(path, data))
    assert whole == expected
    for offset in range(min(len(data), 1100)):
        damaged = bytearray(data)
        damaged[offset] ^= flip
        found, corrupt = _read_damaged(_written(path, bytes(damaged)))
        assert found == expected[: len(found)]
        if suffix == ".seg":
            assert corrupt or found == expected, f"byte {offset}: records were lost without a word"


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_sealed_segment_with_an_early_end_is_corrupt(tmp_path: Path) -> None:
    path, data, expected = _sample(tmp_path, ".seg")
    ends = [end for end, _ in read(_written(path, data))]
    damaged = bytearray(data)
    damaged[ends[1] : ends[1] + 4] = bytes(4)
    with pytest.raises(SegmentCorrupt) as caught:
        list(read(_written(path, bytes(damaged))))
    assert caught.value.offset == ends[1]
    assert _read_damaged(path)[0] == expected[:2]


def test_a_sound_frame_that_is_no_record_is_corrupt(tmp_path: Path) -> None:
    payload = msgspec.msgpack.encode(["not", "a", "record"])
    path = tmp_path / "n-0-1-000001.seg"
    path.write_bytes(struct.pack("=II", len(payload), spool_module.crc32(payload)) + payload)
    with pytest.raises(SegmentCorrupt, match="not a traffic record"):
        list(read(path))


def test_a_torn_leftover_is_sealed_and_reported(tmp_path: Path) -> None:
    path, data, expected = _sample(tmp_path, ".open")
    offset = [end for end, _ in read(_written(path, data))][1]
    path.write_bytes(data[:offset] + b"\xff" * 4 + data[offset + 4 :])
    assert seal_abandoned(tmp_path) == 1
    assert _read_damaged(path.with_suffix(".seg")) == (expected[:2], True)


def test_records_longer_than_a_read_are_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n", slot=0)
    for number in range(40):
        spool.append(record(number, "u" * 60_000))
    assert ids(tmp_path) == [f"r{number}" for number in range(40)]
    spool.close()


@pytest.mark.parametrize("most", [1, 7, 50, 51])
def test_blocks_have_as_many_records_as_there_is_room_for(tmp_path: Path, most: int) -> None:
    spool = Spool(tmp_path, node="n1", slot=0)
    for number in range(50):
        spool.append(record(number, "x" * 20_000))
    spool.close()
    (segment,) = segments(tmp_path)
    offset, found = 0, []
    while blocks := list(read_blocks(segment.path, offset, msgspec.msgpack.decode, most)):
        assert sum(len(block.records) for block in blocks) <= most
        assert all(len(block.records) == len(block.ends) for block in blocks)
        found += [item[2] for block in blocks for item in block.records]
        offset = blocks[-1].ends[-1]
    assert found == [f"r{number}" for number in range(50)]
    assert offset == segment.size


def test_a_segment_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "n-0-1-000001.open"))


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    spool = Spool(tmp_path, node="n", slot=0, segment_bytes=4096)
    for number in range(100):
        spool.append(record(number))
    spool.close()
    ids(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0
