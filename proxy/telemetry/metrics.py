"""Counters for Prometheus in the status file of a worker slot, counted with plain memory writes.

A series is a kind, its label values and a run of cells. The labels region of the file lists the series in
the order in which they were made (u32 length, written last, then msgpack of the kind and the label values),
so that the same labels find the same cells after a publish or a new worker, and the agent reads everything
without asking the worker. Series are made when they are first needed and never freed; what finds no room is
counted under `_other`, and that it happened in `series_overflow`.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal

import msgspec

from proxy.telemetry.record import STATES
from proxy.telemetry.status import CELLS, COUNTERS, LABEL_BYTES, WorkerStatus

BOUNDS_US = (
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
)
"""Upper bounds of the latency buckets in microseconds; one more bucket holds what is above."""

BUCKETS = len(BOUNDS_US) + 1
UPSTREAM = BUCKETS + 1
UPSTREAM_SUM = UPSTREAM + BUCKETS
BYTES_IN = 2 * UPSTREAM
BYTES_OUT = BYTES_IN + 1
"""Cells of a route: latency buckets and their sum, the same of the upstream, body bytes in and out."""

ROUTE, CODE, POLICY, NAMED, TARGET = "route", "code", "policy", "named", "target"
EJECTIONS, EJECTED = range(2)
"""Cells of a Target of an Upstream: how often it was ejected, and whether it is (1) or not (0)."""
SIZES = {ROUTE: BYTES_OUT + 1, CODE: 1, POLICY: 1, NAMED: 1, TARGET: EJECTED + 1}
"""How many cells a series of each kind takes."""

OTHER = "_other"
Outcome = Literal["refused", "observed"]
Key = tuple[str, ...]
"""A series: its kind, then the values of its labels."""

NAMES = {
    "connections_accepted": "Client connections accepted.",
    "connections_refused": "Client connections closed at once because the worker had too many.",
    "protocol_errors": "Requests refused at the edge because they were no acceptable HTTP.",
    "header_timeouts": "Connections ended because a request head took too long.",
    "body_timeouts": "Requests ended because their body came too slowly.",
    "retries": "Further tries at an upstream.",
    "retry_budget_exhausted": "Retries not made because the upstream's retry budget was used up.",
    "upstream_connects": "Connections opened to upstreams.",
    "upstream_connect_errors": "Connections to upstreams that could not be opened.",
    "upstream_pool_full": "Requests refused because the upstream's pool and its queue were full.",
    "counter_unavailable": "Rate limit and quota checks that the counter store could not answer.",
    "counter_evictions": "Live counters that were thrown out for want of room.",
    "identity_cache_clears": "Times the worker forgot its cached identities because some changed.",
    "snapshot_loads": "Snapshots taken into use.",
    "snapshot_errors": "Snapshots that could not be loaded; the one before stays in use.",
    "policy_errors": "Exceptions in policies; the request was answered with 500.",
    "internal_errors": "Other exceptions while a request was handled.",
    "spool_dropped": "Traffic records dropped because the spool was full or the disk was.",
    "series_overflow": "Label sets counted under _other because the table of series is full.",
}
"""Every counter without labels, with its help text; Prometheus sees `tidegate_<name>_total`."""

_LENGTH = struct.Struct("=I")
_LABEL_CHARACTERS = 128
_RESERVED_CELLS, _RESERVED_BYTES = 8 * 1024, 384 * 1024
_decode = msgspec.msgpack.Decoder(tuple[str, ...]).decode


def series(labels: memoryview) -> Iterator[tuple[Key, int, int]]:
    """The series that a labels region lists: key, first cell, and where the region goes on.

    Raises ValueError if the region is damaged.
    """
    offset, cell = 0, COUNTERS
    while offset + 4 <= len(labels):
        (length,) = _LENGTH.unpack_from(labels, offset)
        if length == 0:
            return
        offset += 4
        try:
            key = _decode(labels[offset : offset + length])
            size = SIZES[key[0]]
        except (msgspec.MsgspecError, LookupError) as error:
            raise ValueError(f"The list of series is damaged at byte {offset}.") from error
        offset = (offset + length + 3) & ~3
        yield key, cell, offset
        cell += size


class _Table:
    """The series of one file, as its writer sees them."""

    def __init__(self, status: WorkerStatus) -> None:
        self.numbers = status.numbers
        self._labels = status.labels
        self._cells: dict[Key, int] = {}
        self._end, self._next = 0, COUNTERS
        try:
            for key, cell, end in series(self._labels):
                self._cells[key] = cell
                self._end, self._next = end, cell + SIZES[key[0]]
        except ValueError:
            self._start_over()

    def cells_of(self, kind: str) -> list[int]:
        """The first cells of all series of a kind."""
        return [cell for key, cell in self._cells.items() if key[0] == kind]

    def _start_over(self) -> None:
        """After a power cut the region may be damaged. Counters that begin at 0 again are a normal reset."""
        self._labels[:] = bytes(LABEL_BYTES)
        self.numbers[COUNTERS:] = memoryview(bytes((CELLS - COUNTERS) * 8)).cast("Q")
        self._cells.clear()
        self._end, self._next = 0, COUNTERS

    def cell(self, key: Key, *, reserved: bool = False) -> int | None:
        """The first cell of a series, made if it is new; None if there is no room."""
        key = tuple(value[:_LABEL_CHARACTERS] for value in key)
        found = self._cells.get(key)
        return found if found is not None else self._make(key, reserved)

    def _make(self, key: Key, reserved: bool) -> int | None:
        text = msgspec.msgpack.encode([value.encode("utf-8", "replace").decode() for value in key])
        start, cell, size = self._end, self._next, SIZES[key[0]]
        end = (start + 4 + len(text) + 3) & ~3
        spare_bytes, spare_cells = (0, 0) if reserved else (_RESERVED_BYTES, _RESERVED_CELLS)
        if end + 4 + spare_bytes > LABEL_BYTES or cell + size + spare_cells > CELLS:
            return None
        self._labels[start + 4 : start + 4 + len(text)] = text
        _LENGTH.pack_into(self._labels, start, len(text))
        self._end, self._next = end, cell + size
        self._cells[key] = cell
        return cell


class RouteMeter:
    """Counts the requests of one route."""

    __slots__ = ("_base", "_cells", "_key", "_metrics", "_numbers")

    def __init__(self, metrics: Metrics, api: str, route: str) -> None:
        self._metrics = metrics
        self._numbers = metrics.numbers
        self._key = (api, route)
        self._base = 0
        self._cells: dict[int, int] = {}

    def observe(
        self, status: int, state: int, duration_us: int, upstream_us: int, bytes_in: int, bytes_out: int
    ) -> None:
        """Count one finished request; `status` 0 means no answer, `upstream_us` 0 no upstream."""
        numbers = self._numbers
        try:
            numbers[self._cells[status << 3 | state]] += 1
        except KeyError:
            numbers[self._new_code(status, state)] += 1
        base = self._base
        numbers[base + bisect_left(BOUNDS_US, duration_us)] += 1
        numbers[base + BUCKETS] += duration_us
        if upstream_us:
            numbers[base + UPSTREAM + bisect_left(BOUNDS_US, upstream_us)] += 1
            numbers[base + UPSTREAM_SUM] += upstream_us
        if bytes_in:
            numbers[base + BYTES_IN] += bytes_in
        if bytes_out:
            numbers[base + BYTES_OUT] += bytes_out

    def _new_code(self, status: int, state: int) -> int:
        if not self._cells:
            self._base = self._metrics.route_cells(*self._key)
        cell = self._metrics.code_cell(*self._key, status, state)
        self._cells[status << 3 | state] = cell
        return cell


class Metrics:
    """The counters of one worker. Nothing here raises or blocks for want of room."""

    def __init__(self, status: WorkerStatus) -> None:
        self.numbers = status.numbers
        self._table = _Table(status)
        self._named = {name: self._reserved(NAMED, name) for name in NAMES}
        self._other_route = self._reserved(ROUTE, OTHER, OTHER)
        for cell in self._table.cells_of(TARGET):
            self.numbers[cell + EJECTED] = 0  # this worker has ejected none yet
        self._policies: dict[tuple[str, str, str], int] = {}

    def route(self, api: str, route: str) -> RouteMeter:
        """The meter of a route, to be kept with the compiled route; as many times as one likes."""
        return RouteMeter(self, api, route)

    def bump(self, name: str, n: int = 1) -> None:
        """Count one of `NAMES`; another name is a KeyError."""
        self.numbers[self._named[name]] += n

    def policy(self, policy: str, label: str, outcome: Outcome) -> None:
        """Count a decision: the policy `refused` a request, or `observed` that it would have."""
        try:
            self.numbers[self._policies[policy, label, outcome]] += 1
        except KeyError:
            self.numbers[self._policy_cell(policy, label, outcome)] += 1

    def target_ejected(self, upstream: str, target: str) -> None:
        """A Target gets no calls for a while."""
        cell = self._target_cell(upstream, target)
        self.numbers[cell + EJECTIONS] += 1
        self.numbers[cell + EJECTED] += 1

    def target_back(self, upstream: str, target: str) -> None:
        """It takes part again."""
        self.numbers[self._target_cell(upstream, target) + EJECTED] -= 1

    def _target_cell(self, upstream: str, target: str) -> int:
        cell = self._table.cell((TARGET, upstream, target))
        return cell if cell is not None else self._overflow(self._reserved(TARGET, OTHER, OTHER))

    def route_cells(self, api: str, route: str) -> int:
        """The first cell of a route's series."""
        cell = self._table.cell((ROUTE, api, route))
        return cell if cell is not None else self._overflow(self._other_route)

    def code_cell(self, api: str, route: str, status: int, state: int) -> int:
        """The cell that counts a route's requests with that status and terminal state."""
        code = str(min(max(status, 0), 999))
        cell = self._table.cell((CODE, api, route, code, STATES[state]))
        if cell is not None:
            return cell
        return self._overflow(self._reserved(CODE, OTHER, OTHER, code, STATES[state]))

    def _policy_cell(self, policy: str, label: str, outcome: str) -> int:
        cell = self._table.cell((POLICY, policy, label, outcome))
        if cell is None:
            return self._overflow(self._reserved(POLICY, OTHER, OTHER, outcome))
        self._policies[policy, label, outcome] = cell
        return cell

    def _overflow(self, cell: int) -> int:
        self.bump("series_overflow")
        return cell

    def _reserved(self, *key: str) -> int:
        cell = self._table.cell(key, reserved=True)
        if cell is None:  # cannot be: the reserve holds every status in every state
            raise MemoryError("The table of series has no room for its own overflow.")
        return cell
