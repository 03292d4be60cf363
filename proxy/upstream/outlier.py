"""Passive ejection: an Instance that fails calls in a row gets none for a while.

Each worker judges by its own calls, as Envoy's outlier detection does. Success costs nothing as long as
there is nothing to forgive; returning is part of the pool's sweep, so there are no timers.
"""

from __future__ import annotations

import errno
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.upstream.pool import Instance, UpstreamPool

log = logging.getLogger("tidegate.upstream")
LONGEST = 300.0
"""Seconds that an ejection lasts at most, unless `base_seconds` is more."""
_OURS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))
monotonic = time.monotonic


class Outliers:
    """Counts the failures of a pool's Instances and takes out those that have too many in a row.

    An Instance that is back is on probation: one more failure ejects it again, a success clears it. The
    n-th ejection lasts n times `base_seconds`; each `base_seconds` without failures takes one off n.
    """

    def __init__(self, pool: UpstreamPool) -> None:
        self._pool = pool
        self._config = pool.config.outlier
        self._threshold = self._config.failures
        self._statuses = frozenset(self._config.statuses)
        self.known: list[Instance] = []
        """Those whose ejections are not forgotten yet."""

    def answered(self, instance: Instance, status: int) -> None:
        """An answer has begun. Needs to be told of a status below 500 only if `instance.failures`."""
        if status in self._statuses:
            self.failed(instance, f"status {status}")
        elif not instance.ejected_until:
            instance.failures = 0

    def failed(self, instance: Instance, reason: str) -> None:
        """A call came to nothing. `reason` is for the log."""
        if not self._threshold or instance.ejected_until:
            return
        instance.failures += 1
        if instance.failures >= self._threshold and self._may_eject(instance):
            self._eject(instance, reason)

    def _may_eject(self, instance: Instance) -> bool:
        """It takes part, and neither too many nor all would be out."""
        serving = [one for one in self._pool.instances if one.weight > 0 and one.healthy]
        out = sum(one.ejected_until > 0 for one in serving)
        most = min(len(serving) * self._config.max_percent // 100, len(serving) - 1)
        return instance in serving and out < most

    def _eject(self, instance: Instance, reason: str) -> None:
        pool, base = self._pool, self._config.base_seconds
        instance.ejections += 1
        seconds = min(base * instance.ejections, max(base, LONGEST))
        instance.ejected_until = monotonic() + seconds
        instance.failures = self._threshold - 1
        if instance not in self.known:
            self.known.append(instance)
        pool.metrics.target_ejected(pool.config.name, instance.label)
        log.warning(
            "upstream %s: %s is ejected for %g s (time %d), the last failure: %s",
            *(pool.config.name, instance.label, seconds, instance.ejections, reason),
        )
        pool.rebalance()
        while instance.idle:
            # After a long silence a new connection tells sooner than an old one whether it is there.
            instance.idle.popleft().close()

    def sweep(self, now: float) -> None:
        """Bring back whose time is over, forget what is long ago."""
        for instance in list(self.known):
            if instance.ejected_until:
                if now >= instance.ejected_until:
                    self._bring_back(instance, now)
            elif instance.failures:
                instance.good_since = now
            elif now - instance.good_since >= self._config.base_seconds:
                instance.good_since = now
                instance.ejections -= 1
                if not instance.ejections:
                    self.known.remove(instance)

    def _bring_back(self, instance: Instance, now: float) -> None:
        pool = self._pool
        instance.ejected_until = 0.0
        instance.good_since = now
        pool.metrics.target_back(pool.config.name, instance.label)
        log.info("upstream %s: %s takes part again", pool.config.name, instance.label)
        pool.rebalance()

    def retire(self) -> None:
        """The pool is no longer in the configuration: nobody is judged any more."""
        self._threshold = 0
        for instance in self.known:
            if instance.ejected_until:
                self._pool.metrics.target_back(self._pool.config.name, instance.label)
        self.known.clear()


def own_fault(error: BaseException | None) -> bool:
    """A connection failed for want of files, ports or memory here: no Instance is to blame for that."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OURS:
            return True
        error = error.__cause__
    return False
