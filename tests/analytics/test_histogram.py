"""Percentiles within the promised error, and histograms that add up."""

from __future__ import annotations

from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.histogram import EMPTY, LARGEST, RELATIVE_ERROR, Histogram, bucket, merged, middle

values = st.lists(st.integers(0, LARGEST), min_size=1, max_size=200)


def of(numbers):
    histogram = Histogram()
    for number in numbers:
        histogram.add(number)
    return histogram


def test_the_error_is_below_five_percent():
    assert RELATIVE_ERROR < 0.05


@given(values, st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0]))
def test_a_quantile_is_within_the_error_of_the_exact_one(numbers, share):
    exact = sorted(numbers)[max(1, ceil(share * len(numbers) - 1e-9)) - 1]
    assert of(numbers).quantile(share) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.0001)


@given(values, values)
def test_merging_parts_gives_the_whole(one, other):
    merged = of(one)
    merged.merge(of(other))
    assert merged == of(one + other)
    assert merged.count == len(one) + len(other)


@given(values)
def test_it_survives_storage(numbers):
    histogram = of(numbers)
    assert Histogram.decode(histogram.encode()) == histogram
    assert Histogram.decode(memoryview(histogram.encode())) == histogram


@given(st.integers(1, LARGEST))
def test_buckets_grow_with_their_values(value):
    assert bucket(value - 1) <= bucket(value) <= bucket(value - 1) + 1 or value < 15
    assert middle(bucket(value)) == pytest.approx(value, rel=RELATIVE_ERROR * 1.0001)


def test_extremes_have_a_bucket():
    assert bucket(0) == bucket(-5) == 0
    assert middle(0) == 0.0
    assert bucket(2**63) == bucket(LARGEST)


def test_an_empty_one_has_no_quantile():
    assert Histogram().quantile(0.5) is None
    assert Histogram.decode(EMPTY) == {}


def test_a_hundred_thousand_values_take_few_bytes():
    histogram = Histogram()
    for number in range(100_000):
        histogram.add(number)
    assert len(histogram.encode()) < 800


def test_rubbish_is_refused():
    with pytest.raises(msgspec.DecodeError):
        Histogram.decode(b"\xff\x00")


@given(st.lists(st.integers(0, LARGEST)), st.lists(st.integers(0, LARGEST)))
def test_adding_to_what_is_stored_is_adding_the_values(some, others):
    assert Histogram.decode(merged(of(some).encode(), of(others))) == of(some + others)
    assert merged(memoryview(of(some).encode()), of([])) == of(some).encode()
