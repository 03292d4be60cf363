"""Weighted round robin that spreads a heavy Instance's turns evenly instead of bunching them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.upstream.pool import Instance

LONGEST_TURN = 2_000


class RoundRobin:
    """Turns in proportion to weight; the order of one whole turn is worked out beforehand."""

    __slots__ = ("_turn",)

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._turn = itertools.cycle(turn(instances))

    def pick(self, x: Exchange) -> Instance:
        """The next one."""
        return next(self._turn)


def turn(instances: Sequence[Instance]) -> list[Instance]:
    """One turn: each Instance as often as its reduced weight says, as far apart as possible."""
    divisor = math.gcd(*(instance.weight for instance in instances)) or 1
    weights = [instance.weight // divisor for instance in instances]
    total = sum(weights)
    if total > LONGEST_TURN:
        weights = [max(1, round(weight * LONGEST_TURN / total)) for weight in weights]
        total = sum(weights)
    credit = [0] * len(weights)
    order = []
    for _ in range(total):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        chosen = credit.index(max(credit))
        credit[chosen] -= total
        order.append(instances[chosen])
    return order
