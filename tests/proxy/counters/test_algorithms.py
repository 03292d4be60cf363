"""The algorithms against reference models that remember every hit, and their promises as properties."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.counters.algorithms import NOTHING, Step, decide_all, early, step_for
from proxy.counters.base import Limit, Verdict

ALGORITHMS = ("fixed-window", "sliding-window", "gcra")
gaps = st.lists(st.integers(0, 400).map(lambda n: n / 32), min_size=1, max_size=80)
"""Seconds between hits, in 32nds, which floats hold exactly."""


class Counter:
    """One key under one limit, stepped by hand."""

    def __init__(self, limit: Limit) -> None:
        self.step: Step = step_for(limit)
        self.state = NOTHING

    def hit(self, now: float, cost: int = 1) -> Verdict:
        verdict, *state = self.step(now, *self.state, cost)
        self.state = (state[0], state[1], state[2])
        return verdict


def times(pauses: list[float], start: float = 1000.0) -> list[float]:
    result = []
    for pause in pauses:
        start += pause
        result.append(start)
    return result


@given(pauses=gaps, amount=st.integers(1, 6))
def test_fixed_window_against_a_model_that_remembers_all(pauses: list[float], amount: int) -> None:
    counter = Counter(Limit("fixed-window", amount, 8.0))
    begin, count = float("-inf"), 0
    for now in times(pauses):
        if now >= begin + 8.0:
            begin, count = now, 0
        verdict = counter.hit(now)
        assert verdict.allowed == (count < amount)
        count += verdict.allowed
        assert verdict.remaining == amount - count
        assert verdict.reset == begin + 8.0 - now


@given(pauses=gaps, amount=st.integers(1, 6))
def test_sliding_window_against_a_model_that_remembers_all(pauses: list[float], amount: int) -> None:
    counter = Counter(Limit("sliding-window", amount, 8.0))
    origin: Fraction | None = None
    hits: list[Fraction] = []
    for at in times(pauses):
        now = Fraction(at)
        if origin is None or now >= origin + 16 + (max(hits) - origin) // 8 * 8:
            origin, hits = now, []
        window = (now - origin) // 8
        current = sum((hit - origin) // 8 == window for hit in hits)
        previous = sum((hit - origin) // 8 == window - 1 for hit in hits)
        faded = previous * (1 - (now - origin - window * 8) / 8)
        used = current + max(0, -(-faded // 1) - 1)
        verdict = counter.hit(at)
        assert verdict.allowed == (used + 1 <= amount)
        assert verdict.remaining == max(0, amount - used - verdict.allowed)
        if verdict.allowed:
            hits.append(now)


@given(pauses=gaps, amount=st.sampled_from([1, 2, 4, 8]), burst=st.integers(1, 6))
def test_gcra_against_exact_arithmetic(pauses: list[float], amount: int, burst: int) -> None:
    limit = Limit("gcra", amount, 8.0, burst)
    counter = Counter(limit)
    interval, tolerance = Fraction(8, amount), Fraction(early(limit))
    arrival = Fraction(0)
    for at in times(pauses):
        now = Fraction(at)
        arrival = max(arrival, now)
        fits = arrival + interval - burst * interval <= now + tolerance
        verdict = counter.hit(at)
        assert verdict.allowed == fits
        arrival += interval if fits else 0
        assert verdict.remaining == (now + burst * interval - arrival + tolerance) // interval


@given(pauses=gaps, amount=st.integers(1, 6))
def test_sliding_window_bounds(pauses: list[float], amount: int) -> None:
    """At most `amount` in each window from the first hit on, at most twice that in any span of a period."""
    counter = Counter(Limit("sliding-window", amount, 8.0))
    admitted = [now for now in times(pauses) if counter.hit(now).allowed]
    for first in admitted:
        assert sum(first <= now < first + 8.0 for now in admitted) <= 2 * amount
    begin = admitted[0]
    for now in admitted:
        if now >= begin + 16.0:
            break
        assert sum(begin <= hit < begin + 8.0 for hit in admitted) <= amount


@given(pauses=gaps, amount=st.integers(1, 9), burst=st.integers(1, 6))
def test_gcra_never_more_than_burst_and_rate(pauses: list[float], amount: int, burst: int) -> None:
    limit = Limit("gcra", amount, 7.0, burst)
    counter = Counter(limit)
    admitted = [now for now in times(pauses) if counter.hit(now).allowed]
    interval = 7.0 / amount
    for first in admitted:
        for last in admitted:
            if last >= first:
                count = sum(first <= now <= last for now in admitted)
                assert count <= burst + (last - first + early(limit) * 2) / interval


@given(
    algorithm=st.sampled_from(ALGORITHMS),
    pauses=gaps,
    amount=st.integers(1, 9),
    cost=st.integers(1, 3),
    period=st.sampled_from([1.0, 3.0, 7.5]),
)
def test_after_the_wait_it_fits(
    algorithm: str, pauses: list[float], amount: int, cost: int, period: float
) -> None:
    """`retry_after` is true: not admitted well before, admitted after it. And refused hits cost nothing."""
    counter = Counter(Limit(algorithm, amount, period))  # type: ignore[arg-type]
    cost = min(cost, amount)
    for now in times(pauses):
        verdict = counter.hit(now, cost)
        assert 0 <= verdict.remaining <= amount
        assert 0 <= verdict.reset <= period * 1.001
        if verdict.allowed:
            assert verdict.retry_after == 0
            continue
        state = counter.state
        assert not counter.hit(now + verdict.retry_after * 0.9 - 0.002, cost).allowed
        counter.state = state
        assert counter.hit(now + verdict.retry_after + 1e-6, cost).allowed
        counter.state = state


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_series_of_the_first_window(algorithm: str) -> None:
    counter = Counter(Limit(algorithm, 6, 60.0))  # type: ignore[arg-type]
    verdicts = [counter.hit(1000.0 + number / 100) for number in range(7)]
    assert [verdict.remaining for verdict in verdicts] == [5, 4, 3, 2, 1, 0, 0]
    assert [verdict.allowed for verdict in verdicts] == [True] * 6 + [False]


@pytest.mark.parametrize("amount", [1, 2, 7, 100])
def test_sliding_window_lets_the_full_rate_through(amount: int) -> None:
    """A caller that comes back when told gets `amount` in every period, not less."""
    counter = Counter(Limit("sliding-window", amount, 60.0))
    now, admitted = 0.5, 0
    while now < 60.0 * 20:
        verdict = counter.hit(now)
        admitted += verdict.allowed
        now += verdict.retry_after + 0.001
    assert 20 * amount - amount <= admitted <= 20 * amount + amount


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("back", [0.5, 30.0, 3600.0, 10_000_000.0])
def test_a_clock_that_goes_back_locks_nobody_out(algorithm: str, back: float) -> None:
    counter = Counter(Limit(algorithm, 5, 60.0))  # type: ignore[arg-type]
    now = 20_000_000.0
    while counter.hit(now).allowed:
        pass
    now -= back
    refused_for = 0.0
    while not counter.hit(now + refused_for).allowed:
        refused_for += 1.0
        assert refused_for <= 121.0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_clock_that_jumps_ahead_gives_one_fresh_window(algorithm: str) -> None:
    counter = Counter(Limit(algorithm, 5, 60.0))  # type: ignore[arg-type]
    assert sum(counter.hit(100.0).allowed for _ in range(20)) == 5
    assert sum(counter.hit(3700.0).allowed for _ in range(20)) == 5


def test_a_lowered_amount_keeps_what_was_counted() -> None:
    counter = Counter(Limit("fixed-window", 10, 60.0))
    for _ in range(8):
        counter.hit(100.0)
    counter.step = step_for(Limit("fixed-window", 5, 60.0))
    verdict = counter.hit(101.0)
    assert not verdict.allowed
    assert verdict.remaining == 0


@settings(max_examples=50)
@given(pauses=gaps, amounts=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_all_or_nothing(pauses: list[float], amounts: tuple[int, int]) -> None:
    """What a refused pair leaves behind is what the allowed pairs alone would have left."""
    limits = [Limit("fixed-window", amounts[0], 6.0), Limit("gcra", amounts[1], 9.0)]
    steps = [step_for(limit) for limit in limits]
    states = [NOTHING, NOTHING]
    alone = [Counter(limit) for limit in limits]
    for now in times(pauses):
        outcomes = decide_all(now, list(zip(steps, states, strict=True)), 1)
        states = [outcome[1:] for outcome in outcomes]
        allowed = all(outcome[0].allowed for outcome in outcomes)
        if allowed:
            verdicts = [counter.hit(now) for counter in alone]
            assert [outcome[0] for outcome in outcomes] == verdicts
        else:
            probes = [Counter(limit) for limit in limits]
            for probe, counter, outcome in zip(probes, alone, outcomes, strict=True):
                probe.state = counter.state
                assert probe.hit(now).allowed == outcome[0].allowed
