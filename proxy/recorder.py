"""Accounting: each finished exchange becomes one TrafficRecord and its share of the metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proxy.exchange import Exchange
from proxy.telemetry.record import TrafficRecord

if TYPE_CHECKING:
    from proxy.telemetry.metrics import Metrics
    from proxy.telemetry.spool import Spool

PATH_BYTES = 1024
AGENT_BYTES = 200


class Recorder:
    """Writes records and counts; nothing here waits or fails a request."""

    def __init__(self, spool: Spool, metrics: Metrics) -> None:
        self._spool = spool
        self.metrics = metrics
        self._unrouted = metrics.route("", "")
        self.bump = metrics.bump

    def refused(self, policy: str, label: str) -> None:
        """A policy refused a request."""
        self.metrics.policy(policy, label, "refused")

    def record(self, x: Exchange, duration: float) -> None:
        """The exchange is over; `duration` is seconds since its head was complete."""
        route, identity, micros = x.route, x.identity, int(duration * 1e6)
        meter = self._unrouted if route is None else route.meter
        meter.observe(x.status, x.state, micros, x.upstream_us, x.bytes_in, x.bytes_out)
        agent = x.header(b"user-agent")
        self._spool.append(
            TrafficRecord(
                time.time() - duration,
                x.request_id.decode(),
                x.state,
                x.method.decode(),
                x.host.decode(),
                x.path[:PATH_BYTES].decode("latin-1"),
                x.status,
                route.config.api if route is not None else "",
                route.config.name if route is not None else "",
                identity.app if identity is not None else "",
                identity.credential_id if identity is not None else "",
                x.plan,
                x.target_label,
                x.client_ip,
                micros,
                x.upstream_us,
                x.bytes_in,
                x.bytes_out,
                x.tries,
                x.code,
                x.policy,
                x.rule,
                x.observed,
                x.protocol,
                x.runtime.snapshot.revision if x.runtime is not None else 0,
                x.traceparent[3:35].decode(),
                agent[:AGENT_BYTES].decode("latin-1") if agent is not None else "",
            )
        )
