"""Accounting: each finished exchange becomes one TrafficRecord and its share of the metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from proxy.exchange import Exchange

if TYPE_CHECKING:
    from proxy.telemetry.metrics import Metrics
    from proxy.telemetry.spool import Spool

PATH_BYTES = 1024
AGENT_BYTES = 200
_NOBODY = ("", "")
_UNROUTED = ("", "", 0)


class Recorder:
    """Writes records and counts; nothing here waits or fails a request."""

    def __init__(self, spool: Spool, metrics: Metrics) -> None:
        self._append = spool.append_all
        self.metrics = metrics
        self._unrouted = metrics.route("", "")
        self.bump = metrics.bump

    def refused(self, policy: str, label: str) -> None:
        """A policy refused a request."""
        self.metrics.policy(policy, label, "refused")

    def record(self, ended: list[Exchange], now: float) -> None:
        """These exchanges are over; `now` is monotonic seconds."""
        offset, records = time.time() - now, []
        for x in ended:
            started, identity = x.started, x.identity
            micros = int((now - started) * 1e6)
            meter = self._unrouted if x.route is None else x.route.meter
            app, credential = _NOBODY if identity is None else (identity.app, identity.credential_id)
            meter.observe(x.status, x.state, micros, x.upstream_us, x.bytes_in, x.bytes_out)
            # In the order of TrafficRecord: a tuple is encoded the same and costs less to make.
            records.append(
                (
                    started + offset,
                    micros,
                    x.request_id.decode(),
                    x.traceparent[3:35].decode("latin-1"),
                    *(x.texts or texts(x)),
                    app,
                    credential,
                    x.state,
                    x.status,
                    x.client_ip,
                    x.plan,
                    x.target_label,
                    x.upstream_us,
                    x.bytes_in,
                    x.bytes_out,
                    x.tries,
                    x.code,
                    x.policy,
                    x.rule,
                    x.observed,
                    x.protocol,
                )
            )
        self._append(records)


def texts(x: Exchange) -> tuple[Any, ...]:
    """Method, host, path and User-Agent, then Api, Route and Revision, as a record holds them."""
    return (
        x.method.decode("latin-1"),
        x.host.decode("latin-1"),
        x.path[:PATH_BYTES].decode("latin-1"),
        x.agent[:AGENT_BYTES].decode("latin-1"),
        *(_UNROUTED if x.route is None else x.route.labels),
    )
