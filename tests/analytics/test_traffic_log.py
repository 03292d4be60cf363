"""Single requests: pages, filters, ids."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction

from analytics import raw
from analytics.batch import rows_of
from analytics.models import RawRecord
from analytics.questions import EVERYTHING, only
from analytics.traffic_log import Cursor, LogFilters, count, find, get, page
from tests.analytics.traffic import record, varied

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def records():
    found = [*varied(300), *(record(time=1_790_000_000.5, path="/same/time") for _ in range(30))]
    raw.insert(rows_of(found)[0])
    return found


def everything(scope=EVERYTHING, size=50, **filters):
    found, cursor, pages = [], None, 0
    while True:
        part = page(scope, LogFilters(**filters), cursor, size)
        found += part.records
        pages += 1
        if part.next is None:
            return found
        assert len(part.records) == size
        cursor = Cursor.parse(str(part.next))


def test_pages_have_everything_once_and_in_order(records):
    found = everything(size=7)
    assert sorted(row.request_id for row in found) == sorted(item.request_id for item in records)
    assert [(row.time, row.pk) for row in found] == sorted(
        ((row.time, row.pk) for row in found), reverse=True
    )


def test_a_new_request_moves_no_page(records):
    first = page(EVERYTHING, LogFilters(), None, 10)
    raw.insert(rows_of([record(time=2e9)])[0])
    second = page(EVERYTHING, LogFilters(), first.next, 10)
    assert not {row.pk for row in first.records} & {row.pk for row in second.records}
    assert second.records[0].time <= first.records[-1].time


@pytest.mark.parametrize(
    "filters",
    [
        {"api": "api-1"},
        {"route": "api-2-1"},
        {"app": "app-0"},
        {"status": 404},
        {"state": 2},
        {"code": "rate_limited"},
        {"policy": "rate-limit"},
        {"target": "10.0.0.0:80"},
        {"client_ip": "192.0.2.10"},
        {"method": "GET", "app": "app-1", "status": 200},
    ],
)
def test_filters_by_value(records, filters):
    there = [item for item in records if all(getattr(item, k) == v for k, v in filters.items())]
    assert len(everything(**filters)) == count(EVERYTHING, LogFilters(**filters)) == len(there) > 0


@pytest.mark.parametrize("number", [0, 1, 15, 16, 17, 33])
def test_any_number_of_rows_is_stored(number):
    found = varied(number)
    raw.insert(rows_of(found)[0])
    ids = list(RawRecord.objects.order_by("id").values_list("request_id", flat=True))
    assert ids == [item.request_id for item in found]


def test_nothing_stays_of_an_insertion_that_fails():
    rows = rows_of(varied(20))[0]
    rows[18] = (None, *rows[18][1:])
    with pytest.raises(DatabaseError), transaction.atomic():
        raw.insert(rows)
    assert not RawRecord.objects.exists()


def test_the_other_filters(records):
    assert len(everything(status_class="4xx")) == sum(400 <= i.status < 500 for i in records)
    assert len(everything(status_class="none")) == sum(i.status == 0 for i in records)
    assert len(everything(longer_than=5000)) == sum(i.duration_us >= 5000 for i in records)
    assert len(everything(text="/same/")) == 30
    assert len(everything(refused=True)) == sum(bool(i.code) for i in records)
    middle = sorted(i.time for i in records)[150]
    assert len(everything(start=middle)) == sum(i.time >= middle for i in records)
    assert len(everything(end=middle)) == sum(i.time < middle for i in records)


@pytest.mark.parametrize("text", ["%", "_", "' OR 1=1 --", "\0", "\\", "/same/time' --"])
def test_text_is_looked_for_as_it_is(records, text):
    assert everything(text=text) == []
    assert everything(api=text) == []


def test_a_request_id_is_found(records):
    assert find(EVERYTHING, records[3].request_id).path == records[3].path
    assert find(EVERYTHING, "nowhere") is None
    assert find(EVERYTHING, "a\0b") is None


def test_of_two_with_one_id_the_newest_is_found():
    raw.insert(rows_of([record(request_id="twice", time=2.0), record(request_id="twice", time=1.0)])[0])
    assert find(EVERYTHING, "twice").time == 2.0


def test_a_developer_sees_their_own_alone(records):
    mine = only("app-1")
    others = next(item for item in records if item.app == "app-2")
    assert {row.app for row in everything(mine)} == {"app-1"}
    assert everything(mine, app="app-2") == []
    assert find(mine, others.request_id) is None
    row = find(EVERYTHING, others.request_id)
    assert get(mine, row.pk) is None and get(EVERYTHING, row.pk) == row
    assert everything(only()) == []


@pytest.mark.parametrize(
    "text", ["", "x", "1.0", "1.0_x", "nan_1", "1_-1", "1e99_1", "1_99999999999999999999"]
)
def test_a_cursor_that_was_tampered_with_is_none(text):
    assert Cursor.parse(text) is None


def test_a_page_is_one_query(records, django_assert_num_queries):
    with django_assert_num_queries(1):
        page(EVERYTHING, LogFilters(app="app-1"), None)
