"""What is deleted, and what stays."""

from __future__ import annotations

import datetime
import time

import pytest
from django.test import override_settings
from django.utils import timezone

from analytics import raw, retention
from analytics.batch import rows_of
from analytics.ingest import Ingester
from analytics.models import DayRollup, HourRollup, MinuteRollup, RawRecord, Series
from proxy.models import Certificate
from tests.analytics.traffic import record, spool

pytestmark = [pytest.mark.django_db, pytest.mark.database]
DAY = 86_400


def store(*records):
    raw.insert(rows_of(records)[0])


def test_raw_records_are_bounded_by_number(monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 7)
    store(*(record(request_id=str(number)) for number in range(60)))
    with override_settings(TIDEGATE_RAW_ROWS=25):
        assert retention.trim_raw() == 35
        assert retention.trim_raw() == 0
    assert set(RawRecord.objects.values_list("request_id", flat=True)) == {str(n) for n in range(35, 60)}


def test_gaps_in_the_ids_delete_nothing_that_may_stay():
    store(*(record(request_id=str(number)) for number in range(30)))
    RawRecord.objects.filter(request_id__in=[str(n) for n in range(5, 25)]).delete()
    with override_settings(TIDEGATE_RAW_ROWS=10):
        assert retention.trim_raw() == 0
    assert RawRecord.objects.count() == 10


def test_raw_records_are_bounded_by_age():
    now = time.time()
    store(record(time=now - 8 * DAY), record(time=now - 6 * DAY), record(time=now))
    assert retention.trim_raw() == 1
    assert RawRecord.objects.count() == 2


def test_each_table_of_rollups_has_its_age(tmp_path):
    now = time.time()
    ages = (0, 4, 100, 1200)
    spool(tmp_path, [record(time=now - age * DAY) for age in ages])
    ingester = Ingester(tmp_path, grace=0)
    ingester.run()
    with override_settings(TIDEGATE_MINUTE_DAYS=3, TIDEGATE_HOUR_DAYS=93, TIDEGATE_DAY_DAYS=1100):
        deleted = retention.clean()
    assert deleted.rollups > 0
    left = [table.objects.filter(series__grain=1).count() for table in (MinuteRollup, HourRollup, DayRollup)]
    assert left == [1, 2, 3]


def test_series_without_rollups_go_and_the_ingester_notices(tmp_path):
    now = time.time()
    ingester = Ingester(tmp_path, grace=0)
    spool(tmp_path, [record(time=now - 2000 * DAY, app="old"), record(time=now, app="new")])
    ingester.run()
    retention.clean()
    assert not Series.objects.filter(app="old").exists()
    assert Series.objects.filter(app="new").exists()
    spool(tmp_path, [record(time=now, app="old")])
    ingester.run()
    assert DayRollup.objects.filter(series__app="old").count() == 2  # in the grains app and detail
    assert sum(DayRollup.objects.filter(series__grain=0).values_list("count", flat=True)) == 2


def test_nothing_to_delete_deletes_nothing(tmp_path):
    spool(tmp_path, [record()])
    Ingester(tmp_path, grace=0).run()
    assert retention.clean() == retention.Deleted()


def test_certificates_that_expire_are_listed_the_most_urgent_first():
    now = timezone.now()
    rows = [
        Certificate(name=name, chain="", key="", expires_at=now + datetime.timedelta(days=days, hours=1))
        for name, days in (("soon", 5), ("later", 300), ("past", -2), ("month", 29))
    ]
    Certificate.objects.bulk_create([*rows, Certificate(name="none", chain="", key="")])
    found = retention.expiring_certificates(30, now)
    assert [(item.name, item.days) for item in found] == [("past", -2), ("soon", 5), ("month", 29)]
