"""Turns in proportion to weight."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest

from proxy.config.snapshot import Target, Upstream
from proxy.upstream.balancers.round_robin import LONGEST_TURN, RoundRobin, turn
from proxy.upstream.pool import Instance
from tests.builders import make_exchange


def instances(*weights: int) -> list[Instance]:
    """Instances with these weights, on ports from 1."""
    upstream = Upstream("a")
    return [Instance(Target("h", port, weight=weight), upstream) for port, weight in enumerate(weights, 1)]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1, 1), [1, 1]), ((100, 100, 100), [1, 1, 1]), ((70, 30), [7, 3]), ((5, 1, 1), [5, 1, 1]), ((9,), [1])],
)
def test_a_turn_is_exact(weights: tuple[int, ...], expected: list[int]) -> None:
    counts = Counter(one.target.port for one in turn(instances(*weights)))
    assert [counts[port] for port in range(1, len(weights) + 1)] == expected


def test_heavy_ones_are_spread_out() -> None:
    order = [one.target.port for one in turn(instances(5, 1, 1))]
    assert max(len(list(group)) for _, group in groupby(order)) <= 3


def test_a_long_turn_is_shortened_and_everyone_stays_in_it() -> None:
    order = turn(instances(999_983, 1))
    assert len(order) <= LONGEST_TURN + 2
    assert {one.target.port for one in order} == {1, 2}


def test_turns_repeat() -> None:
    balancer, x = RoundRobin(instances(2, 1)), make_exchange()
    ports = [balancer.pick(x).target.port for _ in range(6)]
    assert ports[:3] == ports[3:]
