"""The three ways of counting, as pure functions that every store runs on the same few numbers.

What a key remembers is `(expires, previous, current)`: the time from which nothing of it matters any more,
and two counts. A key never seen, or seen long ago, has `expires` 0, which is always past. Times are seconds
on one clock that does not depend on the caller; when it goes back all the same, no caller is locked out for
longer than one period (two for the sliding window).

fixed-window: the window begins with the first hit and lasts one period; at most `amount` hits in it.

sliding-window: windows follow each other from the first hit on. Hits of the window before still count, in
the share of it that the last `period` seconds cover. At most `amount` hits in any of these windows; over
`period` seconds placed anywhere at most twice `amount`, and that only if one window's hits all came at
its very end; close to `amount` for any steady traffic.

gcra: the generic cell rate algorithm (ITU-T I.371, annex A; virtual scheduling). One hit each
`period / amount` seconds, and `burst` of them at once after a pause: at most `burst + n` hits in any span
of `n` such intervals. `expires` is the theoretical arrival time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import ceil as _ceil

from proxy.counters.base import Limit, Verdict

State = tuple[float, int, int]
"""`expires`, `previous`, `current`."""

NOTHING: State = (0.0, 0, 0)
"""What is remembered of a key never seen."""

Outcome = tuple[Verdict, float, int, int]
"""The verdict and the state afterwards (`expires`, `previous`, `current`), to be stored if it changed."""

Step = Callable[[float, float, int, int, int], Outcome]
"""`step(now, expires, previous, current, cost)`. A refused hit leaves the counts as they are."""

_verdict = tuple.__new__  # half the cost of calling Verdict

GCRA_EARLY = 0.001
"""A hit may come this many seconds early (at most half an interval), which absorbs rounding of floats."""


@functools.lru_cache(maxsize=4096)
def step_for(limit: Limit) -> Step:
    """The function that decides hits under `limit`."""
    if limit.algorithm == "fixed-window":
        return _fixed_window(limit)
    if limit.algorithm == "sliding-window":
        return _sliding_window(limit)
    return _gcra(limit)


def decide_all(now: float, parts: list[tuple[Step, State]], cost: int) -> list[Outcome]:
    """Hits under several limits at once, all or nothing.

    If one refuses, the others say how they stand without this hit, and a key of which nothing was
    remembered before has an outcome that is past, not to be stored.
    """
    outcomes = [step(now, state[0], state[1], state[2], cost) for step, state in parts]
    for outcome in outcomes:
        if not outcome[0].allowed:
            break
    else:
        return outcomes
    for index, (step, state) in enumerate(parts):
        outcome = outcomes[index]
        if outcome[0].allowed:
            outcome = step(now, *state, 0)
        outcomes[index] = outcome if state[0] > now else (outcome[0], *NOTHING)
    return outcomes


def early(limit: Limit) -> float:
    """How many seconds before its time GCRA admits a hit."""
    return min(GCRA_EARLY, limit.period / limit.amount / 2)


def _fixed_window(limit: Limit) -> Step:
    amount, period = limit.amount, limit.period

    def step(now: float, expires: float, previous: int, current: int, cost: int) -> Outcome:
        left = expires - now
        if left <= 0.0:
            expires, current, left = now + period, 0, period
        elif left > period:  # the clock went back
            expires, left = now + period, period
        free = amount - current - cost
        if free >= 0:
            return _verdict(Verdict, (True, free, left, 0.0)), expires, 0, current + cost
        return _verdict(Verdict, (False, max(0, free + cost), left, left)), expires, 0, current

    return step


def _sliding_window(limit: Limit) -> Step:
    amount, period = limit.amount, limit.period
    span = period * 2

    def step(now: float, expires: float, previous: int, current: int, cost: int) -> Outcome:
        elapsed = now - (expires - span)
        if expires <= now:
            expires, previous, current, elapsed = now + span, 0, 0, 0.0
        elif elapsed >= period:
            expires, previous, current, elapsed = expires + period, current, 0, elapsed - period
        elif elapsed < 0.0:  # the clock went back
            expires, elapsed = now + span, 0.0
        free = amount - current - cost
        if previous:
            free -= max(0, _ceil(previous * (1.0 - elapsed / period)) - 1)
        left = period - elapsed
        if free >= 0:
            return _verdict(Verdict, (True, free, left, 0.0)), expires, previous, current + cost
        wait = sliding_wait(limit, elapsed, previous, current, cost)
        return _verdict(Verdict, (False, max(0, free + cost), left, wait)), expires, previous, current

    return step


def sliding_wait(limit: Limit, elapsed: float, previous: int, current: int, cost: int) -> float:
    """Seconds until a refused hit fits: in this window if enough of the last one fades, or in the next."""
    amount, period = limit.amount, limit.period
    free = amount - cost - current
    if free >= 0:
        return max(0.0, period * (1.0 - (free + 1) / previous) - elapsed)
    fades = period * (1.0 - (amount - cost + 1) / current) if current else 0.0
    return period - elapsed + max(0.0, fades)


def _gcra(limit: Limit) -> Step:
    interval = limit.period / limit.amount
    burst = limit.burst or limit.amount
    depth = burst * interval
    tolerance = early(limit)

    def step(now: float, expires: float, previous: int, current: int, cost: int) -> Outcome:
        arrival = expires if expires > now else now
        if arrival > now + depth:  # the clock went back
            arrival = now + depth
        room = now + depth - arrival + tolerance
        if cost * interval <= room:
            after = arrival + cost * interval
            free = int((room - cost * interval) / interval)
            return _verdict(Verdict, (True, free, after - now, 0.0)), after, 0, 0
        wait = cost * interval - (room - tolerance)
        return _verdict(Verdict, (False, int(room / interval), arrival - now, wait)), arrival, 0, 0

    return step
