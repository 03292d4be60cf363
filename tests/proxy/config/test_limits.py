"""Bounds of the gateway-wide limits."""

import msgspec

from proxy.config.limits import BOUNDS, check_limits
from proxy.config.snapshot import Limits


def test_every_limit_has_bounds_that_its_default_is_within():
    defaults = msgspec.to_builtins(Limits())
    assert set(BOUNDS) == {field.name for field in msgspec.structs.fields(Limits)}
    assert list(check_limits({name: getattr(Limits(), name) for name in BOUNDS})) == []
    assert all(low <= getattr(Limits(), name) <= high for name, (low, high) in BOUNDS.items()), defaults


def test_a_truth_value_is_no_number():
    (problem,) = check_limits({"header_count": True})
    assert problem.field == "limits.header_count"


def test_not_a_number_is_out_of_bounds():
    assert [item.field for item in check_limits({"header_timeout": float("nan")})] == [
        "limits.header_timeout"
    ]
