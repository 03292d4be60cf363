"""All workers' counters as Prometheus text (exposition format 0.0.4), read from their status files.

Counters are summed over the workers; only what tells one worker from another carries a `slot`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from proxy.telemetry.metrics import (
    BOUNDS_US,
    BUCKETS,
    BYTES_IN,
    BYTES_OUT,
    CODE,
    EJECTED,
    EJECTIONS,
    NAMED,
    NAMES,
    POLICY,
    ROUTE,
    SIZES,
    TARGET,
    UPSTREAM,
    Key,
    series,
)
from proxy.telemetry.status import SlotStatus, WorkerStatus, read_all, status_files

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sums = dict[Key, list[int]]

GAUGES: dict[str, tuple[str, Callable[[SlotStatus], float]]] = {
    "tidegate_worker_ready": ("1 if the worker takes new requests.", lambda s: s.ready),
    "tidegate_worker_start_time_seconds": ("Unix time at which the worker started.", lambda s: s.started),
    "tidegate_snapshot_revision": ("Revision that the worker serves.", lambda s: s.revision),
    "tidegate_identity_generation": ("Identity change that the worker has seen.", lambda s: s.generation),
    "tidegate_connections_open": ("Client connections open now.", lambda s: s.connections),
    "tidegate_requests_in_flight": ("Requests under way now.", lambda s: s.in_flight),
    "tidegate_loop_lag_max_seconds": ("Longest delay of the event loop.", lambda s: s.loop_lag_us / 1e6),
}
"""Gauges per slot; of a worker that is not alive none is shown but `tidegate_worker_up`."""


def render(folder: Path) -> bytes:
    """The metrics of the workers whose status files are in `folder`."""
    sums = totals(folder)
    lines: list[str] = []
    _requests(lines, sums)
    _routes(lines, sums)
    _policies(lines, sums)
    _targets(lines, sums)
    _named(lines, sums)
    _slots(lines, read_all(folder))
    return ("\n".join(lines) + "\n").encode()


def totals(folder: Path) -> Sums:
    """Every series with its cells, summed over all status files; a file that cannot be read is left out."""
    sums: Sums = {}
    for _, path in status_files(folder):
        try:
            status = WorkerStatus(path, writer=False)
        except (OSError, ValueError):
            continue
        try:
            _add(sums, status)
        finally:
            status.close()
    return sums


def _add(sums: Sums, status: WorkerStatus) -> None:
    try:
        for key, cell, _ in series(status.labels):
            values = status.numbers[cell : cell + SIZES[key[0]]].tolist()
            if key[0] == TARGET and not status.alive:
                values[EJECTED] = 0
            known = sums.get(key)
            sums[key] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
    except ValueError:
        return  # damaged by a power cut; the slot's next worker starts it over


def escape(value: str) -> str:
    """A label value as the format wants it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _labels(names: Iterable[str], values: Iterable[str]) -> str:
    return ",".join(f'{name}="{escape(value)}"' for name, value in zip(names, values, strict=True))


def _head(lines: list[str], name: str, kind: str, help_text: str) -> None:
    lines.append(f"# HELP {name} {help_text}")
    lines.append(f"# TYPE {name} {kind}")


def _of_kind(sums: Sums, kind: str) -> list[tuple[Key, list[int]]]:
    return sorted((key[1:], cells) for key, cells in sums.items() if key[0] == kind)


def _requests(lines: list[str], sums: Sums) -> None:
    name = "tidegate_requests_total"
    _head(lines, name, "counter", "Requests by status (0: no answer was sent) and terminal state.")
    for key, cells in _of_kind(sums, CODE):
        lines.append(f"{name}{{{_labels(('api', 'route', 'code', 'state'), key)}}} {cells[0]}")


def _routes(lines: list[str], sums: Sums) -> None:
    routes = [(_labels(("api", "route"), key), cells) for key, cells in _of_kind(sums, ROUTE)]
    _head(
        lines,
        "tidegate_request_duration_seconds",
        "histogram",
        "From the arrival of a request to the end of its answer.",
    )
    for labels, cells in routes:
        _histogram(lines, "tidegate_request_duration_seconds", labels, cells[: BUCKETS + 1])
    _head(
        lines,
        "tidegate_upstream_duration_seconds",
        "histogram",
        "From the last byte sent upstream to the first byte back.",
    )
    for labels, cells in routes:
        _histogram(lines, "tidegate_upstream_duration_seconds", labels, cells[UPSTREAM:BYTES_IN])
    for name, cell, help_text in (
        ("tidegate_request_bytes_total", BYTES_IN, "Bytes of request bodies."),
        ("tidegate_response_bytes_total", BYTES_OUT, "Bytes of response bodies."),
    ):
        _head(lines, name, "counter", help_text)
        lines.extend(f"{name}{{{labels}}} {cells[cell]}" for labels, cells in routes)


def _histogram(lines: list[str], name: str, labels: str, cells: list[int]) -> None:
    count = 0
    for bound, value in zip(BOUNDS_US, cells, strict=False):
        count += value
        lines.append(f'{name}_bucket{{{labels},le="{bound / 1e6:g}"}} {count}')
    count += cells[BUCKETS - 1]
    lines.append(f'{name}_bucket{{{labels},le="+Inf"}} {count}')
    lines.append(f"{name}_sum{{{labels}}} {cells[BUCKETS] / 1e6}")
    lines.append(f"{name}_count{{{labels}}} {count}")


def _policies(lines: list[str], sums: Sums) -> None:
    name = "tidegate_policy_decisions_total"
    _head(lines, name, "counter", "Requests that a policy refused, or in observe mode would have.")
    for key, cells in _of_kind(sums, POLICY):
        lines.append(f"{name}{{{_labels(('policy', 'label', 'outcome'), key)}}} {cells[0]}")


def _targets(lines: list[str], sums: Sums) -> None:
    targets = [(_labels(("upstream", "target"), key), cells) for key, cells in _of_kind(sums, TARGET)]
    for name, kind, cell, help_text in (
        ("tidegate_target_ejections_total", "counter", EJECTIONS, "Times that a worker ejected a target."),
        ("tidegate_target_ejected", "gauge", EJECTED, "Workers that keep a target ejected now."),
    ):
        _head(lines, name, kind, help_text)
        lines.extend(f"{name}{{{labels}}} {cells[cell]}" for labels, cells in targets)


def _named(lines: list[str], sums: Sums) -> None:
    for counter, help_text in NAMES.items():
        name = f"tidegate_{counter}_total"
        _head(lines, name, "counter", help_text)
        lines.append(f"{name} {sums.get((NAMED, counter), [0])[0]}")


def _slots(lines: list[str], slots: list[SlotStatus]) -> None:
    name = "tidegate_worker_up"
    _head(lines, name, "gauge", "1 if the slot's worker lives: not stopped, heartbeat fresh.")
    lines.extend(f'{name}{{slot="{slot.slot}"}} {int(slot.alive)}' for slot in slots)
    for gauge, (help_text, value) in GAUGES.items():
        _head(lines, gauge, "gauge", help_text)
        lines.extend(
            f'{gauge}{{slot="{slot.slot}"}} {float(value(slot)):.15g}' for slot in slots if slot.alive
        )
