"""A Snapshot made ready to run in this worker: table, chains, upstream pools.

Built aside in small steps so that the worker's loop is never held for long, then swapped in by one
assignment. Requests under way keep the Runtime that they began with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from proxy.config.snapshot import Route, Snapshot
from proxy.exchange import Exchange, Header
from proxy.http.addresses import Networks
from proxy.pipeline.chain import Attached, ChainBuilder
from proxy.pipeline.registry import build
from proxy.pipeline.services import Services
from proxy.recorder import texts
from proxy.routing.table import CompiledRoute, RouteTable, RouteTableBuilder

if TYPE_CHECKING:
    from proxy.telemetry.metrics import Metrics
    from proxy.upstream.pool import UpstreamPool, UpstreamPools

STEPS_PER_TURN = 50
HEADS = 2048
SEEN = 16 * 1024
HEAD_BYTES = 1024
Head = bytes | tuple[str | bytes | Header, ...]
"""A head as it came: its bytes, or version, method, path, query and header pairs from another server."""


class Runtime:
    """What the core needs of one Snapshot. Never changed once built."""

    __slots__ = (
        "_seen",
        "attached",
        "heads",
        "limits",
        "pools",
        "snapshot",
        "table",
        "trusted",
        "use_forwarded",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        table: RouteTable,
        pools: dict[str, UpstreamPool],
        attached: list[Attached],
    ) -> None:
        self.snapshot = snapshot
        self.limits = snapshot.limits
        self.table = table
        self.pools = pools
        self.attached = attached
        self.heads: dict[Head, tuple[Any, ...]] = {}
        """Heads that came before, with what they come to under this Snapshot: `Exchange.settled`."""
        self._seen: set[int] = set()
        self.trusted = Networks(snapshot.trusted_proxies) if snapshot.trusted_proxies else None
        self.use_forwarded = snapshot.forwarded_header == "forwarded"

    def remember(self, head: Head, x: Exchange) -> None:
        """Keep what a head comes to, so that an equal one need not be read and routed again.

        Clients repeat their requests to the byte. Only what follows from the head alone is kept; policies
        run on every request. A head is kept when it comes for the second time, so that heads which never come
        again cost little. Bounded: when full, all are forgotten.
        """
        mark = hash(head)
        if mark not in self._seen:
            if len(self._seen) >= SEEN:
                self._seen.clear()
            self._seen.add(mark)
            return
        if sum(len(name) + len(value) for name, value in x.headers) + len(x.target) <= HEAD_BYTES:
            if len(self.heads) >= HEADS:
                self.heads.clear()
            x.texts = texts(x)
            self.heads[head] = x.settled()

    def close(self) -> None:
        """Give back what the policies hold."""
        for item in self.attached:
            item.policy.close()


class RuntimeBuilder:
    """Builds the Runtime of a Snapshot for one worker."""

    def __init__(
        self, snapshot: Snapshot, services: Services, metrics: Metrics, pools: UpstreamPools
    ) -> None:
        self._snapshot = snapshot
        self._services = services
        self._metrics = metrics
        self._pools = pools

    async def build(self) -> Runtime:
        """In small steps, giving way to the loop between them. Raises `Invalid` if a policy cannot be."""
        builder, attached, pools = RouteTableBuilder(), self._attached(), self._open_pools()
        chains = ChainBuilder(attached, self._observe)
        for count, _ in enumerate(self._compile(builder, chains, pools)):
            if count % STEPS_PER_TURN == 0:
                await asyncio.sleep(0)
        return Runtime(self._snapshot, builder.finish(), pools, attached)

    def _attached(self) -> list[Attached]:
        rows = (row for row in self._snapshot.policies if row.mode != "off")
        return [Attached(row, build(row, self._services)) for row in rows]

    def _open_pools(self) -> dict[str, UpstreamPool]:
        return {upstream.name: self._pools.get(upstream) for upstream in self._snapshot.upstreams}

    def _compile(
        self, builder: RouteTableBuilder, chains: ChainBuilder, pools: dict[str, UpstreamPool]
    ) -> Iterator[None]:
        for route in self._snapshot.routes:
            compiled = builder.add(route)
            self._equip(compiled, route, chains, pools)
            yield

    def _equip(
        self, compiled: CompiledRoute, route: Route, chains: ChainBuilder, pools: dict[str, UpstreamPool]
    ) -> None:
        limit, first_byte = route.body_bytes, route.first_byte_timeout
        compiled.chain = chains.for_route(route.name, route.api)
        pool = compiled.upstream = pools.get(route.upstream)
        if pool is not None:
            compiled.first_byte_timeout = pool.config.first_byte_timeout if first_byte is None else first_byte
        if route.request_timeout is not None:
            compiled.request_timeout = route.request_timeout
        compiled.meter = self._metrics.route(route.api, route.name)
        compiled.labels = (route.api, route.name, self._snapshot.revision)
        compiled.plain = compiled.rewriter is None and route.redirect is None and not route.preserve_host
        compiled.body_bytes = self._snapshot.limits.body_bytes if limit is None else limit

    def _observe(self, policy: str, label: str) -> None:
        self._metrics.policy(policy, label, "observed")
