"""Answers from the rollups are exactly those that the raw records give."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise
from math import ceil

import pytest

from analytics import queries
from analytics.answers import as_csv, groups_table, timeline_table
from analytics.ingest import Ingester
from analytics.questions import (
    EVERYTHING,
    FIVE_MINUTES,
    Filters,
    Question,
    choose_step,
    class_of,
    last,
    only,
    spans,
    state_name,
    widen,
)
from tests.analytics.traffic import record, spool, varied

pytestmark = [pytest.mark.django_db, pytest.mark.database]
HOUR, DAY = 3600, 86_400


@pytest.fixture
def records(tmp_path):
    found = varied(700, spread=50 * HOUR)
    spool(tmp_path, found)
    Ingester(tmp_path, grace=0).run()
    return found


def asked(scope=EVERYTHING, seconds=40 * HOUR, **filters):
    return last(seconds, scope, Filters(**filters))


def within(records, question, **fields):
    start, end = question.window
    return [
        item
        for item in records
        if start <= item.time < end and all(getattr(item, name) == value for name, value in fields.items())
    ]


@pytest.mark.parametrize("seconds", [HOUR, 5 * HOUR, 26 * HOUR, 40 * HOUR, 60 * HOUR])
def test_totals_are_those_of_the_raw_records(records, seconds):
    question = asked(seconds=seconds)
    found = queries.totals(question)
    there = within(records, question)
    assert found.count == len(there) > 0
    assert found.bytes_in == sum(item.bytes_in for item in there)
    assert found.bytes_out == sum(item.bytes_out for item in there)
    assert found.observed == sum(bool(item.observed) for item in there)
    assert found.classes == Counter(class_of(item.status) for item in there)
    assert found.states == Counter(state_name(item.state) for item in there)
    assert found.mean == pytest.approx(sum(item.duration_us for item in there) / len(there))
    durations = sorted(item.duration_us for item in there)
    for share, value in zip(
        (0.5, 0.95, 0.99), (found.latency.p50, found.latency.p95, found.latency.p99), strict=True
    ):
        assert value == pytest.approx(durations[ceil(share * len(durations) - 1e-9) - 1], rel=0.05)


@pytest.mark.parametrize(
    "fields",
    [
        {"api": "api-1"},
        {"route": "api-1-0"},
        {"app": "app-2"},
        {"target": "10.0.0.1:80"},
        {"status": 404},
        {"state": 3},
        {"code": "invalid_key"},
        {"plan": "gold"},
        {"api": "api-0", "app": "app-1"},
        {"api": "api-0", "app": "app-1", "status": 200, "state": 0},
    ],
)
def test_filters_leave_exactly_what_they_say(records, fields):
    question = asked(**{name: (value,) for name, value in fields.items()})
    assert queries.totals(question).count == len(within(records, question, **fields)) > 0


def test_classes_and_errors_only(records):
    question = asked(status_class=("4xx", "none"))
    there = [item for item in within(records, question) if item.status // 100 in (4, 0)]
    assert queries.totals(question).count == len(there)
    question = asked(errors_only=True, api=("api-1",))
    assert queries.totals(question).count == sum(bool(i.code) for i in within(records, question, api="api-1"))


@pytest.mark.parametrize(
    "dimensions", [("api",), ("route",), ("app", "api"), ("status",), ("state",), ("target",)]
)
def test_rankings(records, dimensions):
    question = asked()
    found = queries.top(question, *dimensions, count=100, percentiles=True)

    def label(item, name):
        value = getattr(item, name)
        return state_name(value) if name == "state" else str(value)

    there = Counter(tuple(label(item, name) for name in dimensions) for item in within(records, question))
    assert {group.labels: group.totals.count for group in found} == there
    assert [group.totals.count for group in found] == sorted(there.values(), reverse=True)
    assert all(group.totals.latency.p50 for group in found)


def test_rankings_are_cut_and_ordered_by_what_was_asked(records):
    found = queries.top(asked(), "route", count=2, order="bytes_out")
    assert len(found) == 2
    sums = Counter()
    for item in within(records, asked()):
        sums[item.route] += item.bytes_out
    assert [group.totals.bytes_out for group in found] == [n for _, n in sums.most_common(2)]


def test_errors_by_code_policy_and_status(records):
    question = asked()
    found = {group.labels: group.totals.count for group in queries.errors(question)}
    assert found == Counter((i.code, i.policy, str(i.status)) for i in within(records, question) if i.code)


@pytest.mark.parametrize("split", [None, "class", "state", "api", "code", "status"])
@pytest.mark.parametrize("seconds", [2 * HOUR, 20 * HOUR, 45 * HOUR])
def test_a_timeline_is_the_stack_of_all_there_was(records, split, seconds):
    question = asked(seconds=seconds)
    found = queries.timeline(question, split, lines=2)
    start, end = widen(question.start, question.end, found.step)
    there = [item for item in records if start <= item.time < end]
    assert found.times == list(range(start, end, found.step))
    assert sum(value for line in found.lines for value in line.values) == len(there)
    if split == "class":
        assert {line.label: sum(line.values) for line in found.lines} == Counter(
            class_of(i.status) for i in there
        )
    for place in (0, len(found.times) // 2, -1):
        at = found.times[place]
        here = sum(at <= item.time < at + found.step for item in there)
        assert sum(line.values[place] for line in found.lines) == here


def test_latency_over_time(records):
    found = queries.latency(asked())
    assert [line.label for line in found.lines] == ["p50", "p95", "p99"]
    for low, middle, high in zip(*(line.values for line in found.lines), strict=True):
        assert low is None or low <= middle <= high
    assert any(value for value in queries.latency(asked(), upstream=True).lines[0].values)


def test_a_developer_sees_their_own_alone(records):
    mine = only("app-1", "app-3")
    question = asked(mine)
    there = [item for item in within(records, question) if item.app in {"app-1", "app-3"}]
    assert queries.totals(question).count == len(there)
    assert {group.labels[0] for group in queries.top(question, "app")} == {"app-1", "app-3"}
    assert queries.totals(asked(mine, app=("app-2",))).count == 0, "a filter cannot widen the scope"
    assert queries.totals(asked(mine, api=("api-0",))).count == sum(item.api == "api-0" for item in there)
    assert sum(sum(line.values) for line in queries.timeline(asked(mine), "app").lines) >= len(there)
    assert queries.errors(asked(mine)) != queries.errors(asked())


def test_no_apps_see_nothing(records):
    nobody = asked(only())
    assert queries.totals(nobody).count == 0
    assert queries.top(nobody, "api") == []
    assert queries.totals(nobody).latency.p50 is None


def test_few_queries(records, django_assert_max_num_queries):
    with django_assert_max_num_queries(3):
        queries.totals(asked(seconds=60 * HOUR))
    with django_assert_max_num_queries(2):
        queries.top(asked(seconds=60 * HOUR), "api")
    with django_assert_max_num_queries(1):
        queries.timeline(asked(), "class")


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE x; --", "a\0b", "%s", "\ud800".encode("utf-8", "replace").decode()]
)
def test_hostile_values_are_values(records, text):
    assert queries.totals(asked(api=(text,), route=(text,))).count == 0


def test_charts_have_a_bounded_number_of_points():
    now = 1_790_000_123
    for seconds in (900, HOUR, 3 * HOUR, DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY):
        assert seconds / choose_step(now - seconds, now, now) <= 340
    assert choose_step(now - 100 * DAY, now - 100 * DAY + 60, now) == DAY, "what is long ago has days only"
    assert choose_step(now - DAY, now, now) == FIVE_MINUTES


def test_spans_cover_the_range_once():
    start, end = 1_790_000_000 // 60 * 60, 1_790_300_000 // 60 * 60
    found = spans(start, end, 60)
    parts = sorted(part for group in found.values() for part in group)
    assert parts[0][0] == start and parts[-1][1] == end
    assert all(one[1] == other[0] for one, other in pairwise(parts))
    assert all(bound % step == 0 for step, group in found.items() for part in group for bound in part)
    assert set(found) == {60, HOUR, DAY}
    assert spans(60, 120, 60) == {60: [(60, 120)]}


def test_old_ranges_are_widened_to_what_is_kept(records):
    now = time.time()
    question = Question(scope=EVERYTHING, start=int(now - 2 * HOUR), end=int(now), now=now + 10 * DAY)
    assert question.window[0] % HOUR == question.window[1] % HOUR == 0
    assert queries.totals(question).count == len(within(records, question))


def test_files_have_the_numbers_of_the_page(records):
    question = asked()
    lines = list(as_csv(groups_table(("api",), queries.top(question, "api"))))
    assert lines[0].startswith("api,requests,none,1xx,2xx")
    assert sum(int(line.split(",")[1]) for line in lines[1:]) == queries.totals(question).count
    chart = list(as_csv(timeline_table(queries.timeline(question, "class"))))
    assert chart[0].startswith("time,") and chart[1].startswith("20")


def test_a_spreadsheet_runs_nothing():
    assert list(as_csv(iter([("=1+1", 'a"b', "x")]))) == ['\'=1+1,"a""b",x\r\n']


def test_ingestion_tells_of_itself(tmp_path):
    spool(tmp_path, [record()])
    (tmp_path / "node-9-1-000001.seg").write_bytes(b"\x10\0\0\0rubbish rubbish rubbish")
    Ingester(tmp_path, grace=0).run()
    totals, quarantined = queries.ingestion()
    assert (totals.records, totals.quarantined) == (1, 1)
    assert [row.reason for row in quarantined] == ["wrong checksum"]
