"""The counter interface behind rate limits and quotas: three stores, the same answers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal, NamedTuple, Protocol

Algorithm = Literal["fixed-window", "sliding-window", "gcra"]


class Limit(NamedTuple):
    """`amount` hits per `period` seconds.

    `burst` (GCRA only) is how many may come at once; 0 means `amount`.
    """

    algorithm: Algorithm
    amount: int
    period: float
    burst: int = 0


class Verdict(NamedTuple):
    """What a hit came to. `remaining` hits are left now; `reset` and `retry_after` are seconds from now."""

    allowed: bool
    remaining: int
    reset: float
    retry_after: float


class CounterStore(Protocol):
    """Counts hits. A refused hit is not counted, so a refused caller is not locked out for longer.

    `shared` and in-process stores answer at once; Redis answers with an awaitable. Bounded: at most
    `capacity` keys are held, the stalest ones go first, and `evictions` counts what went while still live.
    """

    evictions: int
    immediate: bool
    """Answers at once; if not, `hit` and `hit_all` return awaitables."""

    def hit(self, key: bytes, limit: Limit, cost: int = 1) -> Verdict | Awaitable[Verdict]:
        """Count `cost` hits for `key` if they fit, atomically over all workers that share the store."""

    def hit_all(
        self, hits: list[tuple[bytes, Limit]], cost: int = 1
    ) -> list[Verdict] | Awaitable[list[Verdict]]:
        """Several limits at once, all or nothing: if one refuses, none is charged. The keys must differ."""

    async def close(self) -> None:
        """Give back files and connections."""


class ImmediateCounters(Protocol):
    """What a store with `immediate` is: the same, without awaiting."""

    def hit(self, key: bytes, limit: Limit, cost: int = 1) -> Verdict:
        """As `CounterStore.hit`."""

    def hit_all(self, hits: list[tuple[bytes, Limit]], cost: int = 1) -> list[Verdict]:
        """As `CounterStore.hit_all`."""


class AwaitedCounters(Protocol):
    """What a store without `immediate` is."""

    def hit_all(self, hits: list[tuple[bytes, Limit]], cost: int = 1) -> Awaitable[list[Verdict]]:
        """As `CounterStore.hit_all`."""


class CounterUnavailable(Exception):
    """The store cannot answer (Redis is down or slower than its deadline); the policy decides what then."""
