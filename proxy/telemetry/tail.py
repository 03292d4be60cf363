"""Following the spool: the last records, then new ones as the workers write them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from proxy.telemetry.record import STATES, TrafficRecord
from proxy.telemetry.spool import Segment, SegmentCorrupt, read, segments

LOOK_BACK = 8
"""How many segments per worker the last records are looked for in."""

Wanted = Callable[[TrafficRecord], bool]


class Tail:
    """A reader of all segments in a folder that remembers how far it has come."""

    def __init__(self, folder: Path, wanted: Wanted = lambda record: True) -> None:
        self._folder = folder
        self._wanted = wanted
        self._offsets: dict[str, int] = {}

    def last(self, count: int) -> list[TrafficRecord]:
        """The last records by arrival, oldest first; `new` goes on from there."""
        found: list[TrafficRecord] = []
        by_slot = sorted(segments(self._folder), key=lambda segment: (segment.node, segment.slot))
        for _, group in groupby(by_slot, key=lambda segment: (segment.node, segment.slot)):
            found.extend(self._last_of_slot(list(group), count))
        found.sort(key=lambda record: record.time)
        return found[-count:] if count > 0 else []

    def new(self) -> list[TrafficRecord]:
        """What came since the last call, by arrival."""
        found: list[TrafficRecord] = []
        listed = segments(self._folder)
        for segment in listed:
            if not segment.sealed or self._offsets.get(segment.name, 0) < segment.size:
                found.extend(self._rest(segment, None))
        names = {segment.name for segment in listed}
        self._offsets = {name: offset for name, offset in self._offsets.items() if name in names}
        return sorted(found, key=lambda record: record.time)

    def _last_of_slot(self, listed: list[Segment], count: int) -> list[TrafficRecord]:
        found: list[TrafficRecord] = []
        for age, segment in enumerate(reversed(listed)):
            if age and (len(found) >= count or age >= LOOK_BACK):
                self._offsets[segment.name] = segment.size
            else:
                found[:0] = self._rest(segment, count)
        return found

    def _rest(self, segment: Segment, at_most: int | None) -> deque[TrafficRecord]:
        found: deque[TrafficRecord] = deque(maxlen=at_most)
        offset = self._offsets.get(segment.name, 0)
        try:
            for end, record in read(segment.path, offset):
                offset = end
                if self._wanted(record):
                    found.append(record)
        except SegmentCorrupt:
            offset = segment.size  # whoever ingests it reports it
        except FileNotFoundError:
            pass  # ingested and deleted in the meantime
        self._offsets[segment.name] = offset
        return found


def status_filter(text: str) -> Callable[[int], bool]:
    """A test for `404`, `4xx` or `0` (no answer was sent). Raises ValueError for anything else."""
    if len(text) == 3 and text[0] in "12345" and text[1:].lower() == "xx":
        hundreds = int(text[0])
        return lambda status: status // 100 == hundreds
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        raise ValueError(f"{text!r} is no status: write 404, 4xx, or 0 for requests without an answer.")
    exact = int(text)
    return lambda status: status == exact


def printable(text: str) -> str:
    """Text that does nothing to a terminal: control and invisible characters are written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def line(record: TrafficRecord, clock: str) -> str:
    """One readable line; `clock` is its time as it shall be shown."""
    parts = [
        clock,
        str(record.status or "---"),
        record.method,
        record.host + record.path,
        f"{record.duration_us / 1000:.1f}ms",
        f"{record.bytes_out}B",
        record.client_ip,
    ]
    named = {
        "state": "" if record.state == 0 else STATES[record.state],
        "route": f"{record.api}/{record.route}" if record.route else "",
        "app": record.app,
        "plan": record.plan,
        "target": record.target,
        "upstream": f"{record.upstream_us / 1000:.1f}ms" if record.upstream_us else "",
        "tries": str(record.tries) if record.tries > 1 else "",
        "code": record.code,
        "policy": record.policy,
        "rule": record.rule,
        "observed": record.observed,
        "id": record.request_id,
    }
    parts.extend(f"{name}={value}" for name, value in named.items() if value)
    return printable(" ".join(parts))
