"""The live overview: one frame a second with what the gateway does now."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from analytics.questions import CLASSES
from consoles.live.hub import Frames, Hub, Watcher
from consoles.live.measure import Meter, Moment, quantile
from consoles.live.seat import Seat
from consoles.ui.charts import duration
from consoles.ui.node import NodeState, ejected_targets, folder, node_state, state_name, target_health
from proxy.telemetry.metrics import BUCKETS

INTERVAL = 1.0
RATE_SPAN, LATENCY_SPAN, RANKING_SPAN = 3, 10, 60
"""Of how many of the last moments rates, percentiles and rankings are made."""
HISTORY = 120
SHOWN = 6
MAX_UPSTREAMS = 12
MAX_WORKERS = 64
_encode = msgspec.json.Encoder().encode


class OverviewSource:
    """Looks at the status files once a second."""

    def __init__(self) -> None:
        self._meter = Meter(folder() / "workers")
        self._meter.look()
        self._moments: deque[Moment] = deque(maxlen=RANKING_SPAN)
        self._points: deque[list[float]] = deque(maxlen=HISTORY)

    def tick(self, watchers: Sequence[Watcher]) -> Frames[Watcher]:
        """The same frame for all; who is new gets the last minutes first."""
        history = None
        for watcher in watchers:
            if not watcher.greeted:
                watcher.greeted = True
                history = history or _encode({"history": list(self._points)}).decode()
                yield watcher, history, 1
        self._moments.append(self._meter.look())
        self._points.append(_point(self._moments[-1]))
        text = _encode({**now(self._moments), **_node(), "point": self._points[-1]}).decode()
        yield from ((watcher, text, 1) for watcher in watchers)

    def close(self) -> None:
        """Let the status files go."""
        self._meter.close()


def now(moments: Sequence[Moment]) -> dict[str, Any]:
    """Rates, percentiles and rankings out of the last moments, newest last."""
    latest = list(moments)[-RATE_SPAN:]
    seconds = sum(moment.seconds for moment in latest)
    classes = _sum(moment.classes for moment in latest)
    buckets = [0] * BUCKETS
    for moment in list(moments)[-LATENCY_SPAN:]:
        buckets = [a + b for a, b in zip(buckets, moment.buckets, strict=True)]
    return {
        "rate": sum(classes.values()) / seconds,
        "failed": (classes["5xx"] + classes["none"]) / seconds,
        "classes": {name: classes[name] / seconds for name in CLASSES},
        "latency": [duration(quantile(buckets, share)) for share in (0.5, 0.95, 0.99)],
        **_rankings(moments),
    }


def _rankings(moments: Sequence[Moment]) -> dict[str, Any]:
    apis = _sum(moment.apis for moment in moments)
    failed = _sum(moment.failed for moment in moments)
    errors = _sum(moment.errors for moment in moments)
    return {
        "apis": [[name, count, failed[name]] for name, count in apis.most_common(SHOWN)],
        "errors": [
            ["no answer" if status == "0" else status, state.replace("_", " "), api, count]
            for (status, state, api), count in errors.most_common(SHOWN)
        ],
        "span": round(sum(moment.seconds for moment in moments)),
    }


def _sum(counters: Iterable[Counter[Any]]) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _point(moment: Moment) -> list[float]:
    return [moment.at, *(moment.classes[name] / moment.seconds for name in CLASSES)]


def _node() -> dict[str, Any]:
    state, health = node_state(), target_health()
    upstreams = sorted(
        ([name, sum(targets.values()), len(targets)] for name, targets in health.items()),
        key=lambda one: (one[1] == one[2], one[0]),
    )
    return {
        "revision": state.live,
        "running": len(state.alive),
        "slots": len(state.workers),
        "in_flight": sum(worker.in_flight for worker in state.alive),
        "connections": sum(worker.connections for worker in state.alive),
        "workers": _workers(state),
        "upstreams": upstreams[:MAX_UPSTREAMS],
        "targets": sum(total for _, _, total in upstreams),
        "unhealthy": sum(total - good for _, good, total in upstreams),
        "ejected": len(ejected_targets()),
    }


def _workers(state: NodeState) -> list[list[Any]]:
    return [
        [worker.slot, state_name(worker), worker.revision, worker.in_flight, worker.connections]
        for worker in state.workers[:MAX_WORKERS]
    ]


class OverviewSeat(Seat):
    """One open overview."""

    hub = Hub(OverviewSource, INTERVAL)
