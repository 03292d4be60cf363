"""The spool: traffic records on their way from the workers to the analytics, in memory-mapped files.

A worker writes a record into a mapped, pre-allocated segment before the last bytes of the answer go to the
socket. That costs no system call, and the page cache keeps it when the process is killed. A frame is

    u32 length | u32 crc32 of the payload | payload (msgpack) | 0 to 3 zero bytes up to a multiple of 4

in the byte order of the machine. The length is written last: a reader, or a crash, never sees half a frame,
and a length of zero is the end so far. Segments are `<node>-<slot>-<microseconds>-<sequence>.open` while
they are written (under `flock`, so that the dead can be told from the living), then cut to their length and
renamed to `.seg`. Offsets stay valid across the rename.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar
from zlib import crc32

import msgspec

from proxy.telemetry.record import TrafficRecord

OPEN, SEALED, BLANK = ".open", ".seg", ".blank"
HEADER = 8
MAX_PAYLOAD = 64 * 1024
RETRY_SECONDS = 1.0
_READ_BYTES = 256 * 1024
_FRAME = struct.Struct("=II")
_PACK = _FRAME.pack
_LENGTH = struct.Struct("=I").unpack_from
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
log = logging.getLogger("tidegate.spool")
_NAME = re.compile(r"(?P<node>[A-Za-z0-9._-]+)-(?P<slot>[0-9]+)-(?P<started>[0-9]+)-(?P<sequence>[0-9]+)")


class SegmentCorrupt(Exception):
    """A segment cannot be read past `offset`; what came before is good. Set the file aside."""

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(f"{path.name} at byte {offset}: {reason}")
        self.path = path
        self.offset = offset
        self.reason = reason


class Segment(NamedTuple):
    """One file of the spool. `name` is without its suffix and stays when the segment is sealed.

    `started` is Unix microseconds at creation, `size` bytes on disk (an open segment is pre-allocated).
    """

    started: int
    sequence: int
    node: str
    slot: int
    name: str
    path: Path
    sealed: bool
    size: int


class Spool:
    """The writing end, one per worker.

    `append` never raises and never waits. Above `max_bytes` in the folder (all slots together), or when the
    disk is full, the newest records are dropped and counted in `dropped`; a new segment is tried for at
    most once a second, so that it recovers by itself.
    """

    def __init__(
        self,
        folder: Path,
        *,
        node: str,
        slot: int,
        segment_bytes: int = 4 * 1024 * 1024,
        max_bytes: int = 1024 * 1024 * 1024,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", node) or node.startswith("."):
            raise ValueError(f"Node name {node!r}: use 1 to 64 letters, digits, '.', '_' and '-'.")
        self.dropped = 0
        self._folder = folder
        self._prefix = f"{node}-{slot}-"
        self._segment_bytes = -(-segment_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._max_bytes = max_bytes
        self._encode = msgspec.msgpack.Encoder().encode
        self._sequence = 0
        self._retry_at = 0.0
        self._path: Path | None = None
        self._descriptor = -1
        self._map: mmap.mmap | bytearray = bytearray()
        self._words = memoryview(bytearray()).cast("I")
        self._position = 0
        self._limit = -1
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seal_abandoned(folder, self._prefix)
        self._roll()

    def append_all(self, records: Sequence[tuple[object, ...]]) -> None:
        """Write records, each as `append` does, those of one turn of the loop in one piece."""
        if len(records) == 1:
            self.append(records[0])
            return
        encode = self._encode
        frames: list[bytes] = []
        try:
            for record in records:
                payload = encode(record)
                size = len(payload)
                frames += (_PACK(size, crc32(payload)), payload, _PADDING[size & 3])
                if size > MAX_PAYLOAD:
                    break
            else:
                data = b"".join(frames)
                start = self._position
                end = start + len(data)
                if end <= self._limit:
                    self._map[start + 4 : end] = data[4:]
                    self._words[start >> 2] = _LENGTH(data)[0]
                    self._position = end
                    return
        except Exception:
            # One of them cannot be written; the others can.
            log.debug("records are written one by one", exc_info=True)
        for record in records:
            self.append(record)

    def append(self, record: TrafficRecord | tuple[object, ...]) -> None:
        """Write a record; the moment this returns it survives the death of the process."""
        try:
            payload = self._encode(record)
            size = len(payload)
            start = self._position
            end = start + HEADER + size
            if end > self._limit or size > MAX_PAYLOAD:
                self._append_elsewhere(payload)
                return
            self._map[start + HEADER : end] = payload
            words = self._words
            words[(start >> 2) + 1] = crc32(payload)
            words[start >> 2] = size
            self._position = (end + 3) & ~3
        except Exception:
            # Whatever a record holds (a lone surrogate, an integer beyond 64 bits), its answer goes out.
            self.dropped += 1

    def close(self) -> None:
        """Seal the segment; records that come later are dropped and counted."""
        self._seal()
        self._retry_at = float("inf")

    def _append_elsewhere(self, payload: bytes) -> None:
        end = HEADER + len(payload)
        if len(payload) > MAX_PAYLOAD or end + 3 > self._segment_bytes or not self._roll():
            self.dropped += 1
            return
        self._map[HEADER:end] = payload
        self._words[1] = crc32(payload)
        self._words[0] = len(payload)
        self._position = (end + 3) & ~3

    def _roll(self) -> bool:
        """Seal what is full and begin the next segment; False if there is no room for it now."""
        self._seal()
        now = time.monotonic()
        if now < self._retry_at:
            return False
        try:
            if folder_bytes(self._folder) + self._segment_bytes <= self._max_bytes:
                self._begin()
                return True
        except OSError:
            pass
        self._retry_at = now + RETRY_SECONDS
        return False

    def _begin(self) -> None:
        self._sequence += 1
        name = f"{self._prefix}{time.time_ns() // 1000}-{self._sequence:06d}"
        blank = self._folder / (name + BLANK)
        descriptor = os.open(blank, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A full disk is an error here; without this it would be a SIGBUS in the middle of a request.
            os.posix_fallocate(descriptor, 0, self._segment_bytes)
            mapped = mmap.mmap(descriptor, self._segment_bytes)
            path = blank.with_suffix(OPEN)
            blank.rename(path)
        except OSError:
            os.close(descriptor)
            blank.unlink(missing_ok=True)
            raise
        self._path, self._descriptor, self._map = path, descriptor, mapped
        self._words = memoryview(mapped).cast("I")
        self._position = 0
        self._limit = self._segment_bytes - 3

    def _seal(self) -> None:
        if self._path is None:
            return
        path, descriptor, mapped = self._path, self._descriptor, self._map
        self._path, self._descriptor, self._limit = None, -1, -1
        self._words.release()
        self._words, self._map = memoryview(bytearray()).cast("I"), bytearray()
        if isinstance(mapped, mmap.mmap):
            mapped.close()
        try:
            _seal_file(path, descriptor, self._position)
        except OSError:
            pass  # it stays `.open`; the next process of this slot seals it
        finally:
            os.close(descriptor)


def _seal_file(path: Path, descriptor: int, length: int) -> None:
    if length == 0:
        path.unlink(missing_ok=True)
        return
    os.ftruncate(descriptor, length)
    path.rename(path.with_suffix(SEALED))


def seal_abandoned(folder: Path, prefix: str = "") -> int:
    """Seal the open segments whose writer is dead and delete blank ones; returns how many were sealed."""
    count = 0
    for entry in sorted(os.listdir(folder)):
        if entry.startswith(prefix) and entry.endswith((OPEN, BLANK)):
            try:
                count += _seal_if_abandoned(folder / entry)
            except OSError:
                continue  # its writer lives, or another process was faster
    return count


def _seal_if_abandoned(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.suffix == BLANK:
            path.unlink(missing_ok=True)
            return False
        _seal_file(path, descriptor, _end_of_frames(descriptor))
        return True
    finally:
        os.close(descriptor)


def _end_of_frames(descriptor: int) -> int:
    """Where the end marker is; the whole file if the frames make no sense, for the reader to report."""
    size = os.fstat(descriptor).st_size
    offset = 0
    while offset + HEADER <= size:
        length, _ = _FRAME.unpack(os.pread(descriptor, HEADER, offset))
        if length == 0:
            return offset
        if length > MAX_PAYLOAD:
            return size
        offset = (offset + HEADER + length + 3) & ~3
    return min(offset, size)


def folder_bytes(folder: Path) -> int:
    """Bytes that the files of the spool take."""
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())


def segments(folder: Path) -> list[Segment]:
    """All segments, sealed and open, oldest first; the segments of one slot in the order of writing."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            match = _NAME.fullmatch(path.stem)
            if match is None or path.suffix not in (OPEN, SEALED):
                continue
            try:
                size = entry.stat().st_size
            except OSError:
                continue  # sealed or ingested between the listing and here, or no file at all
            found.append(
                Segment(
                    started=int(match["started"]),
                    sequence=int(match["sequence"]),
                    node=match["node"],
                    slot=int(match["slot"]),
                    name=path.stem,
                    path=path,
                    sealed=path.suffix == SEALED,
                    size=size,
                )
            )
    return sorted(found)


_decode = msgspec.msgpack.Decoder(TrafficRecord).decode
Found = TypeVar("Found")


class Block(NamedTuple, Generic[Found]):
    """Some records of a segment in the order of writing; `ends` are the offsets after each."""

    records: list[Found]
    ends: list[int]


def read(path: Path, offset: int = 0) -> Iterator[tuple[int, TrafficRecord]]:
    """The records from `offset` on, each with the offset after it; ends at the end marker.

    An open segment may be read while it is written, and again later from the last offset. Raises
    `SegmentCorrupt` at a bad checksum or length, FileNotFoundError if the segment is gone.
    """
    for block in read_blocks(path, offset, _decode):
        yield from zip(block.ends, block.records, strict=True)


def read_blocks(
    path: Path, offset: int, decode: Callable[[bytes], Found], most: int = sys.maxsize
) -> Iterator[Block[Found]]:
    """What `read` gives, many at a time, and at most `most` in all: for whoever reads millions.

    `decode` makes a record of a payload, or raises msgspec.MsgspecError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        path = path.with_suffix(SEALED)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while most > 0:
            # Not mapped: the writer cuts the file when it seals it, which would be a SIGBUS here.
            block, reason = _parse(os.pread(descriptor, _READ_BYTES, offset), offset, decode, most)
            if not block.ends:
                break
            yield block
            offset = block.ends[-1]
            most -= len(block.ends)
        else:
            return
        if not reason and path.suffix == SEALED and offset < os.fstat(descriptor).st_size:
            reason = "the last frame is cut short"
        if reason:
            raise SegmentCorrupt(path, offset, reason)
    finally:
        os.close(descriptor)


def _parse(
    chunk: bytes, offset: int, decode: Callable[[bytes], Found], most: int
) -> tuple[Block[Found], str]:
    """The whole frames at the start of `chunk`, and what is wrong with the frame after them, if anything."""
    records: list[Found] = []
    ends: list[int] = []
    position, last, available = 0, len(chunk) - HEADER, len(chunk)
    unpack = _FRAME.unpack_from
    while position <= last and len(ends) < most:
        length, checksum = unpack(chunk, position)
        start = position + HEADER
        end = start + length
        if length > MAX_PAYLOAD:
            return Block(records, ends), f"a frame of {length} bytes"
        if length == 0 or end > available:
            break
        payload = chunk[start:end]
        if crc32(payload) != checksum:
            return Block(records, ends), "wrong checksum"
        try:
            records.append(decode(payload))
        except msgspec.MsgspecError:
            return Block(records, ends), "not a traffic record"
        position = (end + 3) & ~3
        ends.append(offset + position)
    return Block(records, ends), ""
