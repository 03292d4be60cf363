"""Adding up records, without a database."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.batch import DAY, FIELDS, HOUR, MINUTE, all_steps, decode, grained, rows_of, tally
from analytics.grains import DETAIL, ERROR, GRAINS
from tests.analytics.traffic import record, varied


def test_windows_begin_on_whole_minutes_hours_and_days():
    rows, _ = rows_of([record(time=1_000_000_000.9)])
    starts = {step: list(windows) for step, windows in all_steps(grained(tally(rows)))}
    assert starts == {MINUTE: [999_999_960], HOUR: [999_997_200], DAY: [999_993_600]}
    assert all(start % step == 0 for step, [start] in starts.items())


@given(st.integers(0, 2**32), st.integers(1, 120))
def test_every_grain_of_every_step_counts_each_request_once(seed, count):
    records = varied(count, seed=seed, now=1_790_000_000.0, spread=90_000)
    rows, repaired = rows_of(records)
    assert repaired == 0
    failed = sum(bool(item.code) for item in records)
    for _, windows in all_steps(grained(tally(rows))):
        for grain in GRAINS:
            tallies = [
                found
                for window in windows.values()
                for (number, _), found in window.items()
                if number == grain.number
            ]
            counted = [item for item in records if item.code] if grain is ERROR else records
            assert sum(found.count for found in tallies) == (failed if grain is ERROR else count)
            assert sum(found.bytes_out for found in tallies) == sum(item.bytes_out for item in counted)
            assert sum(found.observed for found in tallies) == sum(bool(item.observed) for item in counted)
            assert sum(found.duration.count for found in tallies) == len(counted)
            assert sum(found.upstream.count for found in tallies) == sum(
                item.upstream_us > 0 for item in counted
            )


def test_detail_has_all_dimensions():
    rows, _ = rows_of([record(api="a", route="r", app="p", plan="g", target="t", code="c", policy="y")])
    _, windows = next(all_steps(grained(tally(rows))))
    [window] = windows.values()
    assert (DETAIL.number, ("a", "r", "p", "g", "t", 200, "c", "y", 0)) in window


@pytest.mark.parametrize(
    "fields",
    [
        {"time": float("nan")},
        {"time": -1.0},
        {"time": float("inf")},
        {"duration_us": -1},
        {"duration_us": 2**64 - 1},
        {"upstream_us": 2**63},
        {"bytes_in": -(2**63)},
        {"bytes_out": 2**64 - 1},
        {"state": 99},
        {"status": -7},
        {"status": 100_000},
        {"tries": 2**64 - 1},
        {"user_agent": "a\0b"},
        {"request_id": "x" * 60_000},
    ],
)
def test_a_record_that_cannot_be_is_repaired_not_dropped(fields):
    payloads = [msgspec.msgpack.encode(item) for item in (record(), record(**fields))]
    rows, repaired = rows_of(map(decode, payloads))
    assert repaired == 1
    assert len(rows) == 2
    by_name = dict(zip(FIELDS, rows[1], strict=True))
    assert 0 <= by_name["time"] < 4e9
    assert all(0 <= value < 2**63 for value in rows[1] if isinstance(value, int))
    assert all("\0" not in value and len(value) <= 1024 for value in rows[1] if isinstance(value, str))
    list(all_steps(grained(tally(rows))))


def test_a_record_is_decoded_to_its_values():
    item = record()
    assert decode(msgspec.msgpack.encode(item)) == msgspec.structs.astuple(item)
    assert rows_of([item]) == ([msgspec.structs.astuple(item)], 0)


def test_a_record_of_a_newer_worker_is_read_without_what_it_adds():
    item = record()
    payload = msgspec.msgpack.encode([*msgspec.structs.astuple(item), "more"])
    assert rows_of([decode(payload)]) == ([msgspec.structs.astuple(item)], 0)


@pytest.mark.parametrize("payload", [b"", b"\x90", b"\xc1", msgspec.msgpack.encode({"time": 1.0})])
def test_what_is_no_record_is_not_decoded(payload):
    with pytest.raises(msgspec.MsgspecError):
        decode(payload)
