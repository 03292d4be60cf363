"""Active health checks: probes every Target of the Upstreams that ask for it, and tells the workers.

The verdicts go to the file `health` of the node directory, `{"upstream": {"host:port": true}}`, and a cell
of the shared state counts up. A Target that was not probed often enough yet is taken to be healthy.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import ssl
from typing import NamedTuple

import httpx

from proxy.config.snapshot import Snapshot, Target, Upstream
from proxy.node import HEALTH, NodeDir, SharedState

logger = logging.getLogger(__name__)

AT_ONCE = 64
JITTER = 0.1


class Probe(NamedTuple):
    """One Target to be probed, the way its Upstream says."""

    upstream: Upstream
    target: Target

    @property
    def url(self) -> str:
        """What is fetched."""
        scheme = "https" if self.upstream.protocol in ("https", "h2") else "http"
        return f"{scheme}://{self.target.label}{self.upstream.health.path}"


class Verdict:
    """Turns single probes into healthy or not: so many in a row change it."""

    def __init__(self, healthy_after: int, unhealthy_after: int) -> None:
        self.healthy = True
        self._after = {True: healthy_after, False: unhealthy_after}
        self._against = 0

    def take(self, good: bool) -> bool:
        """Count one probe; True if the verdict changed."""
        if good == self.healthy:
            self._against = 0
            return False
        self._against += 1
        if self._against < self._after[good]:
            return False
        self.healthy, self._against = good, 0
        return True


class HealthChecks:
    """All probes of one node; `apply` follows the Snapshot, `close` ends them."""

    def __init__(self, node: NodeDir, state: SharedState) -> None:
        self._path = node.health
        self._state = state
        self._tasks: dict[Probe, asyncio.Task[None]] = {}
        self._verdicts: dict[Probe, Verdict] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    def apply(self, snapshot: Snapshot) -> None:
        """Probe what this Snapshot asks for. A probe that has not changed keeps what it found out."""
        wanted = {
            Probe(upstream, target)
            for upstream in snapshot.upstreams
            if upstream.health.interval > 0
            for target in upstream.targets
        }
        for probe in self._tasks.keys() - wanted:
            self._tasks.pop(probe).cancel()
            del self._verdicts[probe]
        for probe in wanted - self._tasks.keys():
            health = probe.upstream.health
            self._verdicts[probe] = Verdict(health.healthy_after, health.unhealthy_after)
            self._tasks[probe] = asyncio.create_task(self._run(probe))
        self._write()

    async def close(self) -> None:
        """End all probes."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def verdicts(self) -> dict[str, dict[str, bool]]:
        """What the file says."""
        found: dict[str, dict[str, bool]] = {}
        for probe, verdict in self._verdicts.items():
            found.setdefault(probe.upstream.name, {})[probe.target.label] = verdict.healthy
        return found

    async def _run(self, probe: Probe) -> None:
        interval = probe.upstream.health.interval
        try:
            client = _client(probe.upstream)
        except (ssl.SSLError, OSError, ValueError) as error:
            logger.error("Upstream %s cannot be probed: %s", probe.upstream.name, error)
            return
        async with client:
            # Spread from the start, so that a thousand Targets are not probed in one instant.
            await asyncio.sleep(interval * random.uniform(0, JITTER))  # noqa: S311
            while True:
                await self._probe(client, probe)
                await asyncio.sleep(interval * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311

    async def _probe(self, client: httpx.AsyncClient, probe: Probe) -> None:
        health = probe.upstream.health
        async with self._room:
            good, reason = await _fetch(client, probe)
        if self._verdicts[probe].take(good):
            logger.warning(
                "Upstream %s: target %s is %s",
                *(probe.upstream.name, probe.target.label),
                f"healthy after {health.healthy_after} good probes" if good else f"unhealthy: {reason}",
            )
            self._write()

    def _write(self) -> None:
        draft = self._path.with_name(f"{self._path.name}.part")
        try:
            draft.write_text(json.dumps(self.verdicts()))
            os.replace(draft, self._path)
        except OSError as error:
            logger.error("Health verdicts cannot be written to %s: %s", self._path, error.strerror)
            return
        self._state.numbers[HEALTH] += 1


def _client(upstream: Upstream) -> httpx.AsyncClient:
    # No environment: a proxy set for the operator's shell is not the way to a Target.
    over_http2 = upstream.protocol in ("h2", "h2c")
    return httpx.AsyncClient(
        verify=_tls(upstream) if upstream.protocol in ("https", "h2") else False,
        http1=not over_http2,
        http2=over_http2,
        trust_env=False,
        follow_redirects=False,
        timeout=upstream.health.timeout,
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
    )


def _tls(upstream: Upstream) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=upstream.tls_ca or None)
    if not upstream.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _fetch(client: httpx.AsyncClient, probe: Probe) -> tuple[bool, str]:
    upstream = probe.upstream
    headers = {"user-agent": "tidegate-health"}
    if upstream.host_header:
        headers["host"] = upstream.host_header
    extensions = {"sni_hostname": upstream.tls_server_name} if upstream.tls_server_name else {}
    try:
        # The head is enough, and the deadline holds for all of it, however slowly it trickles in.
        async with (
            asyncio.timeout(upstream.health.timeout),
            client.stream("GET", probe.url, headers=headers, extensions=extensions) as answer,
        ):
            return answer.status_code in upstream.health.statuses, f"status {answer.status_code}"
    except TimeoutError:
        return False, f"no answer within {upstream.health.timeout} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return False, f"{type(error).__name__} {error}".strip()
