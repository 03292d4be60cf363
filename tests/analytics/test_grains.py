"""Which grain answers which question."""

from __future__ import annotations

import pytest

from analytics.grains import DERIVATIONS, GRAINS, NAMES, choose


@pytest.mark.parametrize(
    ("needed", "grain"),
    [
        ((), "total"),
        (("status",), "total"),
        (("api",), "api"),
        (("route", "status", "state"), "route"),
        (("app",), "app"),
        (("target",), "target"),
        (("app", "api"), "detail"),
        (("plan",), "detail"),
        (("code",), "detail"),
        (("policy", "state"), "detail"),
    ],
)
def test_the_cheapest_that_knows_all(needed, grain):
    assert choose(needed).name == grain


def test_errors_have_a_grain_of_their_own():
    assert choose(("policy",), errors_only=True).name == "error"
    assert choose((), errors_only=True).name == "error"
    assert choose(("app",), errors_only=True).name == "detail"


def test_numbers_are_stored_and_differ():
    assert len({grain.number for grain in GRAINS}) == len(GRAINS)
    assert GRAINS[-1].dimensions == NAMES


def test_every_source_is_made_before_it_is_needed():
    made = {"detail"}
    for step in DERIVATIONS:
        assert step.source.name in made
        assert set(step.grain.dimensions) <= set(step.source.dimensions)
        made.add(step.grain.name)
    assert made == {grain.name for grain in GRAINS}
