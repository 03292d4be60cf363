"""What the worker lends to policies: the counters, the identity store, the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.counters.base import CounterStore
    from proxy.identity.store import IdentityStore


class Services:
    """Handed to every policy. `now` is Unix seconds, `monotonic` never goes back; tests replace both."""

    def __init__(
        self,
        *,
        counters: CounterStore,
        identities: IdentityStore | None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        bump: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.counters = counters
        self.identities = identities
        self.now = now
        self.monotonic = monotonic
        self.bump = bump
        """Count one of the named metrics."""
