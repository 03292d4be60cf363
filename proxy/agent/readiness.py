"""What the node says of itself: alive, ready, and in detail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.agent.synchronizer import Synchronizer
from proxy.telemetry.status import STATE_NAMES, SlotStatus


@dataclass(slots=True)
class Readiness:
    """Answers the question whether this node should get traffic. `workers` is read at each question."""

    node: str
    synchronizer: Synchronizer
    workers: Callable[[], Sequence[SlotStatus]]
    health: Callable[[], dict[str, dict[str, bool]]]
    draining: bool = False

    def reason(self) -> str:
        """Why the node is not ready; empty if it is."""
        known = self.synchronizer.revision
        if self.draining:
            return "the node is draining"
        if not known:
            return self.synchronizer.problem or "nothing is published yet"
        if not self.synchronizer.identities_loaded:
            return "identities are not loaded yet"
        if not any(worker.ready and worker.revision == known for worker in self.workers()):
            return f"no worker is ready with revision {known}"
        return ""

    def document(self) -> dict[str, Any]:
        """Everything, for people and for the console; sizes are plain numbers, times are seconds."""
        reason = self.reason()
        return {
            "node": self.node,
            "ready": not reason,
            "reason": reason,
            "draining": self.draining,
            "revision": self.synchronizer.revision,
            "database": {
                "connected": self.synchronizer.connected,
                "staleness": round(self.synchronizer.staleness, 3),
                "problem": self.synchronizer.problem,
            },
            "workers": [_worker(worker) for worker in self.workers()],
            "health": self.health(),
        }


def _worker(status: SlotStatus) -> dict[str, Any]:
    return {
        "slot": status.slot,
        "pid": status.pid,
        "state": STATE_NAMES[status.state] if status.state < len(STATE_NAMES) else "unknown",
        "revision": status.revision,
        "heartbeat_age": round(status.age, 3) if status.age != float("inf") else None,
        "connections": status.connections,
        "in_flight": status.in_flight,
    }
