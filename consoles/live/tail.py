"""The live tail: requests as the workers write them down, no more a second than a person can look at."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from consoles.live.filters import TailFilters
from consoles.live.hub import Frames, Hub
from consoles.live.seat import Seat
from consoles.ui.charts import duration
from consoles.ui.node import folder
from proxy.telemetry.record import STATES, TrafficRecord
from proxy.telemetry.tail import Tail, printable

INTERVAL = 0.5
ROWS_A_SECOND = 50
ROWS = int(ROWS_A_SECOND * INTERVAL)
"""Of one tick; the newest are shown."""
RECENT = 200
"""How many of the last requests somebody new sees at once."""
QUIET_SECONDS = 10.0
"""Without requests there is an empty frame so often: a view that hears nothing for longer is cut off."""
MAX_PATH = 300
_encode = msgspec.json.Encoder().encode


class Bucket:
    """What one watcher sees of one tick: the newest requests that match, and how many more there were."""

    def __init__(self, filters: TailFilters) -> None:
        self._match = filters.match
        self._newest: list[tuple[float, int, TrafficRecord]] = []
        self._seen = 0

    def add(self, record: TrafficRecord) -> None:
        """Look at one."""
        if not self._match(record):
            return
        self._seen += 1
        if len(self._newest) < ROWS:
            heapq.heappush(self._newest, (record.time, self._seen, record))
        else:
            heapq.heappushpop(self._newest, (record.time, self._seen, record))

    def frame(self) -> tuple[str, int]:
        """As JSON, and how many requests it stands for."""
        rows = [row(record) for _, _, record in sorted(self._newest)]
        return _encode({"rows": rows, "dropped": self._seen - len(rows)}).decode(), self._seen


def row(record: TrafficRecord) -> list[Any]:
    """A request as the page shows it; all text is harmless to look at, even before it is escaped."""
    texts = (
        record.method,
        record.host + record.path[:MAX_PATH],
        record.api,
        record.route,
        record.app,
        record.code or ("" if record.state < 2 else STATES[record.state].replace("_", " ")),
        record.user_agent,
        record.request_id,
    )
    return [record.time, record.status, duration(record.duration_us), *map(printable, texts)]


class TailSource:
    """Follows the spool once for all watchers; no record is kept but the last few."""

    def __init__(self) -> None:
        self._buckets: list[Bucket] = []
        self._recent: deque[TrafficRecord] = deque(maxlen=RECENT)
        self._tail = Tail(folder() / "spool", self._see)
        self._seeded = False

    def tick(self, watchers: Sequence[TailSeat]) -> Frames[TailSeat]:
        """For each what is new and matches; who is new gets what is recent first."""
        old = [watcher for watcher in watchers if watcher.greeted]
        buckets = [Bucket(watcher.filters) for watcher in old]
        self._read(buckets)
        for watcher, bucket in zip(old, buckets, strict=True):
            text, weight = bucket.frame()
            if weight or time.monotonic() - watcher.offered > QUIET_SECONDS:
                yield watcher, text, weight
        for watcher in watchers:
            if not watcher.greeted:
                watcher.greeted = True
                rows = [row(record) for record in self._recent if watcher.filters.match(record)]
                yield watcher, _encode({"rows": rows, "dropped": 0}).decode(), len(rows)

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self, buckets: list[Bucket]) -> None:
        self._buckets = buckets
        try:
            if self._seeded:
                self._tail.new()
                return
            self._recent.extend(self._tail.last(RECENT))
        except FileNotFoundError:
            return  # no gateway has run here yet
        self._seeded = True

    def _see(self, record: TrafficRecord) -> bool:
        """Hand it on. It need not be kept, but for the first look, which is for the last ones."""
        if not self._seeded:
            return True
        self._recent.append(record)
        for bucket in self._buckets:
            bucket.add(record)
        return False


class TailSeat(Seat):
    """One open tail."""

    hub = Hub(TailSource, INTERVAL)
    filters = TailFilters()

    async def connect(self) -> None:
        """The address says what is wanted."""
        self.filters = TailFilters.parse(self.scope["query_string"].decode("latin-1"))
        await super().connect()
