"""What this machine's node says of itself, from the files of its node directory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from proxy.telemetry.metrics import EJECTED, TARGET
from proxy.telemetry.prometheus import totals
from proxy.telemetry.status import STATE_NAMES, SlotStatus, read_all

Ejected = dict[tuple[str, str], int]
KEPT_SECONDS = 2.0
_ejected: dict[Path, tuple[float, Ejected]] = {}
"""What was read last, and until when it will do: it takes a look at all metrics of the node."""


class NodeState(NamedTuple):
    """The workers of this node; `live` is the revision that all ready workers run, None if they differ."""

    name: str
    workers: list[SlotStatus]

    @property
    def alive(self) -> list[SlotStatus]:
        """Those that beat."""
        return [worker for worker in self.workers if worker.alive]

    @property
    def live(self) -> int | None:
        """The one revision of all workers that live."""
        revisions = {worker.revision for worker in self.alive}
        return revisions.pop() if len(revisions) == 1 else None

    def all_run(self, revision: int) -> bool:
        """Whether every living worker runs at least that revision."""
        return bool(self.alive) and all(worker.revision >= revision for worker in self.alive)


def folder() -> Path:
    """The node directory; it may not be there, where no gateway runs."""
    return Path(settings.TIDEGATE_DATA) / "node"


def node_state() -> NodeState:
    """Workers of this node, none if no gateway has run here."""
    try:
        workers = read_all(folder() / "workers")
    except OSError:
        workers = []
    return NodeState(settings.NODE_NAME, workers)


def state_name(worker: SlotStatus) -> str:
    """What a worker does, in a word."""
    return STATE_NAMES[worker.state] if worker.alive and worker.state < len(STATE_NAMES) else "gone"


def target_health() -> dict[str, dict[str, bool]]:
    """Upstream name to Target label to whether the last health checks were good."""
    try:
        found = json.loads((folder() / "health").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def ejected_targets() -> Ejected:
    """Upstream name and Target label to the number of workers that send it nothing for now."""
    place = folder() / "workers"
    until, found = _ejected.get(place, (0.0, {}))
    if until < time.monotonic():
        try:
            sums = totals(place)
        except OSError:
            sums = {}
        found = {
            (key[1], key[2]): cells[EJECTED]
            for key, cells in sums.items()
            if key[0] == TARGET and cells[EJECTED]
        }
        _ejected[place] = (time.monotonic() + KEPT_SECONDS, found)
    return found
