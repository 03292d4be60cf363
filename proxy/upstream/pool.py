"""An Upstream in this worker: its Instances, who is usable, how many calls are open."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from proxy.config.snapshot import Target, Upstream
from proxy.exchange import Exchange
from proxy.upstream.balancers import BALANCERS, Balancer
from proxy.upstream.http1 import Http1Transport
from proxy.upstream.outlier import Outliers
from proxy.upstream.retry import RetryBudget
from proxy.upstream.tls import client_context
from proxy.upstream.transport import Cause, Failure, Listener, Transport

if TYPE_CHECKING:
    from proxy.telemetry.metrics import Metrics

RETIRED_SECONDS = 60.0
"""How long a retired pool is looked after although it is empty: a request that began before the publish and
waits for a policy or its client may still come to it."""
monotonic = time.monotonic


class Instance:
    """One Target as this worker sees it: its connections and whether it may be used."""

    __slots__ = (
        "connections",
        "ejected_until",
        "ejections",
        "failures",
        "good_since",
        "healthy",
        "host_header",
        "idle",
        "label",
        "target",
        "weight",
    )

    def __init__(self, target: Target, upstream: Upstream) -> None:
        self.target = target
        self.label = target.label
        self.weight = target.weight
        secure = upstream.protocol in ("https", "h2")
        default_port = 443 if secure else 80
        authority = target.label if target.port != default_port else target.label.rpartition(":")[0]
        self.host_header = (upstream.host_header or authority).encode()
        self.idle: deque[Any] = deque()
        self.connections: set[Any] = set()
        self.healthy = True
        self.failures = 0
        """Failed calls in a row. This and what follows is kept by `Outliers`."""
        self.ejections = 0
        self.ejected_until = 0.0
        """A time of `monotonic`; 0 if it takes part."""
        self.good_since = 0.0

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return len(self.connections) - len(self.idle)


class UpstreamPool:
    """Chooses an Instance for a request and hands it to the transport.

    `open` counts connections, also those being made. When `max_connections` are open, up to
    `max_pending` requests wait for one; more are refused as `Cause.FULL`.
    """

    def __init__(self, config: Upstream, listener: Listener, metrics: Metrics) -> None:
        self.config = config
        self.listener = listener
        self.metrics = metrics
        self.instances = [Instance(target, config) for target in config.targets]
        self.open = 0
        self.requests = 0
        self.waiting: deque[Exchange] = deque()
        self.budget = RetryBudget(config.retry_budget)
        self.outliers = Outliers(self)
        self.transport: Transport = self._open_transport()
        self._usable: list[Instance] = []
        self._balancer: Balancer | None = None
        self.rebalance()

    def _open_transport(self) -> Transport:
        if self.config.protocol in ("h2", "h2c"):
            from proxy.upstream.http2 import Http2Transport

            return Http2Transport(self, self.listener)
        context = client_context(self.config) if self.config.protocol == "https" else None
        return Http1Transport(self, self.listener, context)

    def rebalance(self) -> None:
        """Work out who takes part: the healthy Instances of the lowest priority number that has any.

        Ejected ones do not. With none left all of them are tried: a wrong health check must not take a
        service down.
        """
        able = [instance for instance in self.instances if instance.weight > 0]
        usable = [one for one in able if one.healthy and not one.ejected_until] or able
        first = min((instance.target.priority for instance in usable), default=0)
        usable = [instance for instance in usable if instance.target.priority == first]
        self._usable = usable
        self._balancer = BALANCERS[self.config.algorithm](usable) if usable else None

    def set_health(self, health: dict[str, bool]) -> None:
        """Take over what the node agent found: Target label to healthy; unknown ones count as healthy."""
        changed = False
        for instance in self.instances:
            healthy = health.get(instance.label, True)
            changed |= healthy is not instance.healthy
            instance.healthy = healthy
        if changed:
            self.rebalance()

    def send(self, x: Exchange) -> None:
        """Start a call for `x`; what comes of it is told to the listener."""
        x.tries += 1
        if x.target_label or self._balancer is None:
            self._send_again(x)
            return
        self.requests += 1
        instance = self._balancer.pick(x)
        if instance.idle:
            instance.idle.pop().start(x)
        else:
            self._connect(x, instance)

    def _send_again(self, x: Exchange) -> None:
        """Elsewhere, if it failed here; on a new connection, for where one kept one was stale, others are."""
        if self._balancer is None:
            self.listener.upstream_failed(x, Failure(Cause.NO_INSTANCE, sent=False))
            return
        others = [other for other in self._usable if x.tries > 1 and other.label != x.target_label]
        instance = min(others, key=_load) if others else self._balancer.pick(x)
        if self.open >= self.config.max_connections and instance.idle:
            instance.idle.pop().start(x)
        else:
            self._connect(x, instance)

    def _connect(self, x: Exchange, instance: Instance) -> None:
        if self.open < self.config.max_connections:
            self.transport.connect(x, instance)
            return
        if len(self.waiting) >= self.config.max_pending:
            self.waiting = deque(waiting for waiting in self.waiting if not waiting.finished)
        if len(self.waiting) >= self.config.max_pending:
            self.metrics.bump("upstream_pool_full")
            self.listener.upstream_failed(x, Failure(Cause.FULL, sent=False))
            return
        self.waiting.append(x)
        for other in self.instances:
            if other.idle:
                # Its place is for a connection to the Instance whose turn it is.
                other.idle.popleft().close()
                return

    def release(self, connection: Any) -> None:
        """A connection is free again: the next waiting request takes it, else it is kept."""
        while self.waiting:
            if connection.instance not in self._usable:
                # Its place is for a connection to one that takes part.
                connection.close()
                return
            x = self.waiting.popleft()
            if not x.finished:
                connection.start(x)
                return
        connection.idle_since = monotonic()
        connection.instance.idle.append(connection)

    def forget(self, connection: Any) -> None:
        """A connection is about to close: no request may get it any more."""
        if connection in connection.instance.idle:
            connection.instance.idle.remove(connection)

    def connection_gone(self, connection: Any) -> None:
        """A connection closed; a waiting request may open another."""
        self.forget(connection)
        connection.instance.connections.discard(connection)
        self.place_free()

    def place_free(self) -> None:
        """There is one connection less."""
        self.open -= 1
        while self.waiting and self._balancer is not None and self.open < self.config.max_connections:
            x = self.waiting.popleft()
            if not x.finished:
                self.transport.connect(x, self._balancer.pick(x))

    def sweep(self, now: float) -> None:
        """Called a few times a second."""
        self.transport.sweep(now)
        if self.outliers.known:
            self.outliers.sweep(now)
        while self.waiting and (
            self.waiting[0].finished or now - self.waiting[0].started > self.config.first_byte_timeout
        ):
            x = self.waiting.popleft()
            if not x.finished:
                self.listener.upstream_failed(x, Failure(Cause.FULL, sent=False))
        self._end_overdue(now)

    def _end_overdue(self, now: float) -> None:
        """End what takes longer than its Route allows; no Instance is to blame for that."""
        for x in [x for x in self.waiting if x.overdue(now)]:
            self.waiting.remove(x)
            self.listener.upstream_failed(x, Failure(Cause.TIMEOUT, sent=False))
        for instance in self.instances:
            for connection in [c for c in instance.connections if c.x is not None and c.x.overdue(now)]:
                x = connection.x
                connection.cancel()
                self.listener.upstream_failed(x, Failure(Cause.TIMEOUT, sent=True))

    def close_idle(self, before: float = float("inf")) -> None:
        """Close connections that have been idle since a time before that."""
        for instance in self.instances:
            while instance.idle and instance.idle[0].idle_since < before:
                instance.idle.popleft().close()

    @property
    def busy(self) -> bool:
        """A call is under way, or a connection not closed to the end."""
        return bool(self.waiting) or self.open > 0


def _load(instance: Instance) -> float:
    return instance.in_flight / instance.weight


class UpstreamPools:
    """All pools of the worker. An Upstream that a publish left as it was keeps its pool and connections."""

    def __init__(self, listener: Listener, metrics: Metrics) -> None:
        self._listener = listener
        self._metrics = metrics
        self._pools: dict[Upstream, UpstreamPool] = {}
        self._retiring: dict[UpstreamPool, float] = {}
        """Pools that no longer are in the configuration, and since when."""

    def get(self, upstream: Upstream) -> UpstreamPool:
        """The pool of this Upstream as configured."""
        pool = self._pools.get(upstream)
        if pool is None:
            pool = self._pools[upstream] = UpstreamPool(upstream, self._listener, self._metrics)
        return pool

    def keep_only(self, upstreams: set[Upstream]) -> None:
        """Retire the pools that the current Snapshot does not use; their calls end by themselves."""
        for upstream in [upstream for upstream in self._pools if upstream not in upstreams]:
            pool = self._pools.pop(upstream)
            pool.outliers.retire()
            pool.close_idle()
            self._retiring[pool] = monotonic()

    def set_health(self, health: dict[str, dict[str, bool]]) -> None:
        """What the node agent found, by Upstream name."""
        for upstream, pool in self._pools.items():
            pool.set_health(health.get(upstream.name, {}))

    def sweep(self, now: float) -> None:
        """Called a few times a second."""
        for pool in self._pools.values():
            pool.sweep(now)
        for pool, since in list(self._retiring.items()):
            pool.sweep(now)
            pool.close_idle()
            if not pool.busy and now - since > RETIRED_SECONDS:
                del self._retiring[pool]

    def close(self) -> None:
        """Give up all idle connections."""
        for pool in (*self._pools.values(), *self._retiring):
            pool.close_idle()
