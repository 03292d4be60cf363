"""Which dimensions rollups are kept by, and which of them answers a question with the fewest rows.

Every request is counted once in each grain (in `error` only if it has an error code), so that the sums of
all grains agree. `detail` answers everything; the coarser ones answer the common questions a hundred times
faster when there are thousands of Apps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, NamedTuple

Dimensions = tuple[str, str, str, str, str, int, str, str, int]
NAMES = ("api", "route", "app", "plan", "target", "status", "code", "policy", "state")
"""The dimensions, in the order of a series' values. All but `status` and `state` are text."""

OTHER = "_other"
"""Stands for all text dimensions of what found no room."""
NUMBERS = frozenset({"status", "state"})


class Grain(NamedTuple):
    """A set of dimensions that rollups are kept by. `number` is what is stored."""

    number: int
    name: str
    dimensions: tuple[str, ...]
    errors_only: bool = False

    def blank(self, values: Dimensions) -> Dimensions:
        """The values with those of other dimensions taken out."""
        kept = [
            value if name in self.dimensions else (-1 if name in NUMBERS else "")
            for name, value in zip(NAMES, values, strict=True)
        ]
        return tuple(kept)  # type: ignore[return-value]


TOTAL = Grain(1, "total", ("status", "state"))
ERROR = Grain(2, "error", ("api", "status", "code", "policy", "state"), errors_only=True)
TARGET = Grain(3, "target", ("target", "status", "state"))
API = Grain(4, "api", ("api", "status", "state"))
ROUTE = Grain(5, "route", ("api", "route", "status", "state"))
APP = Grain(6, "app", ("app", "status", "state"))
DETAIL = Grain(0, "detail", NAMES)
GRAINS = (TOTAL, ERROR, TARGET, API, ROUTE, APP, DETAIL)
"""From the cheapest to ask to the dearest."""


def choose(needed: Iterable[str], *, errors_only: bool = False) -> Grain:
    """The cheapest grain that has all the `needed` dimensions.

    With `errors_only` the question is about requests with an error code alone.
    """
    wanted = set(needed) | ({"code"} if errors_only else set())
    return next(
        grain
        for grain in GRAINS
        if wanted.issubset(grain.dimensions) and (errors_only or not grain.errors_only)
    )


class Derivation(NamedTuple):
    """How a grain comes from a finer one that was added up before: `pick` leaves the other dimensions out."""

    grain: Grain
    source: Grain
    pick: Callable[[Any], tuple[Any, ...]]


def _derived(grain: Grain, source: Grain) -> Derivation:
    return Derivation(grain, source, itemgetter(*map(source.dimensions.index, grain.dimensions)))


DERIVATIONS = (
    _derived(APP, DETAIL),
    _derived(TARGET, DETAIL),
    _derived(ERROR, DETAIL),
    _derived(ROUTE, DETAIL),
    _derived(API, ROUTE),
    _derived(TOTAL, API),
)
"""In an order in which every source comes before what is made of it."""
CODE = NAMES.index("code")
