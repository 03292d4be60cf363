"""The in-process counter store: for tests, for one worker, and as the local share when Redis is away."""

from __future__ import annotations

import time
from collections.abc import Callable

from proxy.counters.algorithms import NOTHING, State, decide_all, step_for
from proxy.counters.base import Limit, Verdict


class MemoryCounters:
    """Counts in a dictionary of at most `capacity` keys; the one hit least recently goes first."""

    immediate = True

    def __init__(self, *, capacity: int = 65_536, clock: Callable[[], float] = time.monotonic) -> None:
        self.evictions = 0
        self._capacity = capacity
        self._clock = clock
        self._states: dict[bytes, State] = {}

    def __len__(self) -> int:
        return len(self._states)

    def hit(self, key: bytes, limit: Limit, cost: int = 1) -> Verdict:
        """Count `cost` hits for `key` if they fit."""
        now = self._clock()
        state = self._states.get(key, NOTHING)
        verdict, expires, previous, current = step_for(limit)(now, *state, cost)
        if verdict.allowed or state[0] > now:
            self._keep(now, key, (expires, previous, current))
        return verdict

    def hit_all(self, hits: list[tuple[bytes, Limit]], cost: int = 1) -> list[Verdict]:
        """Several limits at once, all or nothing. The keys differ from each other."""
        now = self._clock()
        parts = [(step_for(limit), self._states.get(key, NOTHING)) for key, limit in hits]
        outcomes = decide_all(now, parts, cost)
        for (key, _), (_, expires, previous, current) in zip(hits, outcomes, strict=True):
            if expires > now:
                self._keep(now, key, (expires, previous, current))
        return [outcome[0] for outcome in outcomes]

    async def close(self) -> None:
        """Nothing to give back."""

    def _keep(self, now: float, key: bytes, state: State) -> None:
        states = self._states
        states.pop(key, None)
        states[key] = state
        if len(states) > self._capacity:
            stalest = next(iter(states))
            if states.pop(stalest)[0] > now:
                self.evictions += 1
