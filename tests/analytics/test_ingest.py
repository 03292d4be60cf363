"""From the spool into the database."""

from __future__ import annotations

import os
import random
import shutil
import time

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics import raw
from analytics.ingest import Ingester
from analytics.models import IngestTotals, MinuteRollup, Position, QuarantinedSegment, RawRecord, Series
from analytics.series import Catalogue
from proxy.telemetry.spool import Spool, segments
from tests.analytics.traffic import assert_counted, record, spool, sums, varied

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


def test_what_was_spooled_is_counted_and_found(folder):
    records = varied(500)
    spool(folder, records)
    report = Ingester(folder, batch=120, grace=0).run()
    assert report.records == 500
    assert report.batches >= 5
    assert_counted(records)
    assert segments(folder) == []
    row = RawRecord.objects.get(request_id=records[7].request_id)
    assert all(getattr(row, name) == getattr(records[7], name) for name in records[7].__struct_fields__)


def test_a_second_run_and_a_fresh_process_count_nothing_again(folder):
    records = varied(100)
    spool(folder, records)
    ingester = Ingester(folder, grace=60)
    ingester.run()
    assert ingester.run().records == 0
    assert Ingester(folder, grace=60).run().records == 0
    assert_counted(records)
    assert len(segments(folder)) == 1, "within its grace it stays"
    assert Ingester(folder, grace=0).run().removed == 1
    assert segments(folder) == []
    assert not Position.objects.exists()


def test_an_open_segment_is_read_while_it_is_written_and_after_it_is_sealed(folder):
    writer = Spool(folder, node="node", slot=0)
    ingester = Ingester(folder, grace=0)
    expected = []
    for seed in range(4):
        more = varied(20, seed=seed)
        for item in more:
            writer.append(item)
        expected += more
        assert ingester.run().records == 20
    writer.close()
    ingester.run()
    assert_counted(expected)
    assert segments(folder) == []


def test_nothing_new_costs_one_query(folder, django_assert_num_queries):
    writer = Spool(folder, node="node", slot=0)
    writer.append(record())
    ingester = Ingester(folder)
    ingester.run()
    with django_assert_num_queries(1 if not _sqlite() else 3):  # two of them are pragmas
        assert ingester.run().records == 0
    writer.close()


def _sqlite():
    from django.db import connection

    return connection.vendor == "sqlite"


def test_the_segment_of_a_dead_worker_is_sealed_and_counted(folder):
    pid = os.fork()
    if pid == 0:
        writer = Spool(folder, node="node", slot=3)
        writer.append(record(request_id="last words"))
        os._exit(0)  # without closing it
    os.waitpid(pid, 0)
    assert [segment.sealed for segment in segments(folder)] == [False]
    ingester = Ingester(folder, grace=0)
    assert ingester.run().records == 1
    ingester.run()
    ingester.run()
    assert segments(folder) == []
    assert RawRecord.objects.get().request_id == "last words"


def test_late_records_reopen_their_windows(folder):
    now = time.time()
    ingester = Ingester(folder, grace=0)
    spool(folder, [record(time=now)])
    ingester.run()
    yesterday = [record(time=now - 86_400) for _ in range(3)]
    spool(folder, yesterday)
    ingester.run()
    spool(folder, [record(time=now - 86_400)])
    ingester.run()
    assert MinuteRollup.objects.get(series__grain=1, start=(now - 86_400) // 60 * 60).count == 4
    assert IngestTotals.load().late == 4


def test_histograms_are_merged_over_batches(folder):
    from analytics.histogram import Histogram

    now = 1_790_000_000.0
    ingester = Ingester(folder, batch=7, grace=0)
    spool(folder, [record(time=now, duration_us=1000 * n) for n in range(1, 101)])
    ingester.run()
    row = MinuteRollup.objects.get(series__grain=1)
    histogram = Histogram.decode(row.duration)
    assert histogram.count == 100
    assert histogram.quantile(0.5) == pytest.approx(50_000, rel=0.05)
    assert row.duration_sum == 5_050_000


def test_a_corrupt_segment_is_set_aside_and_stops_nobody(folder):
    good, bad = varied(50, seed=1), varied(50, seed=2)
    spool(folder, bad, slot=0)
    [segment] = segments(folder)
    data = bytearray(segment.path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.path.write_bytes(data)
    spool(folder, good, slot=1)
    report = Ingester(folder, grace=0).run()
    assert report.quarantined == 1
    assert segments(folder) == []
    [row] = QuarantinedSegment.objects.all()
    assert (folder / "quarantine" / f"{row.name}.seg").stat().st_size == len(data)
    assert row.lost_bytes == len(data) - row.offset > 0
    assert IngestTotals.load().quarantined == 1
    found = set(RawRecord.objects.values_list("request_id", flat=True))
    assert found >= {item.request_id for item in good}
    assert 0 < len(found) - 50 < 50, "what came before the damage is counted"


def test_a_segment_put_back_goes_on_where_it_could_not_be_read(folder):
    bad = varied(20)
    spool(folder, bad)
    [segment] = segments(folder)
    whole = segment.path.read_bytes()
    segment.path.write_bytes(whole[:-5])
    Ingester(folder, grace=0).run()
    assert RawRecord.objects.count() == 19
    segment.path.write_bytes(whole)
    Ingester(folder, grace=0).run()
    assert_counted(bad)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_byte_anywhere_never_counts_what_was_not_written(folder, data):
    shutil.rmtree(folder, ignore_errors=True)
    for table in (RawRecord, MinuteRollup, Series, Position, QuarantinedSegment, IngestTotals):
        table.objects.all().delete()
    records = varied(6)
    spool(folder, records)
    [segment] = segments(folder)
    content = bytearray(segment.path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    segment.path.write_bytes(content)
    Ingester(folder, grace=0).run()
    found = list(RawRecord.objects.order_by("id").values_list("request_id", flat=True))
    assert found == [item.request_id for item in records][: len(found)]
    assert len(found) == 6 or QuarantinedSegment.objects.count() == 1
    assert segments(folder) == []
    assert IngestTotals.load().records == len(found)


def test_without_rows_in_the_log_there_are_rollups_all_the_same(folder):
    spool(folder, varied(50))
    with override_settings(TIDEGATE_RAW_ROWS=0):
        Ingester(folder, grace=0).run()
    assert not RawRecord.objects.exists() and IngestTotals.load().records == sums()["total 60"] == 50


def test_series_are_bounded_and_what_overflows_is_counted(folder):
    with override_settings(TIDEGATE_SERIES=10):
        records = [record(app=f"app-{number}") for number in range(50)]
        spool(folder, records)
        ingester = Ingester(folder, batch=10, grace=0)
        ingester.run()
        spool(folder, records[:1])
        ingester.run()
    assert {name: n for name, n in sums().items() if not name.startswith("error") and n != 51} == {}
    assert Series.objects.filter(grain=0).count() == 11
    assert Series.objects.filter(grain=0, app="_other").count() == 1
    assert IngestTotals.load().overflow == 40
    assert RawRecord.objects.filter(app="app-49").count() == 1, "the log still knows it"


def test_impossible_records_are_repaired_and_counted(folder):
    spool(folder, [record(), record(state=99, bytes_in=2**64 - 1), record(host="a\0b")])
    Ingester(folder, grace=0).run()
    assert IngestTotals.load().repaired == 2
    assert RawRecord.objects.count() == 3


def test_a_segment_that_the_database_refuses_does_not_stop_the_others(folder, monkeypatch):
    spool(folder, [record(request_id="poison")], slot=0)
    spool(folder, varied(10), slot=1)
    insert = raw.insert

    def refusing(rows):
        if any(row[2] == "poison" for row in rows):
            raise ValueError("not storable")
        insert(rows)

    monkeypatch.setattr(raw, "insert", refusing)
    report = Ingester(folder, grace=0).run()
    assert len(report.failed) == 1
    assert report.records == 10
    assert RawRecord.objects.count() == 10
    monkeypatch.undo()
    Ingester(folder, grace=0).run()
    assert RawRecord.objects.count() == 11


def test_a_batch_that_was_overtaken_is_thrown_away(folder):
    records = varied(30)
    spool(folder, records)
    other = Ingester(folder, grace=60)
    done = []

    def overtake(name):
        if name == "added up" and not done:
            done.append(other.run().records)

    report = Ingester(folder, grace=60, step=overtake).run()
    assert done == [30]
    assert (report.records, report.overtaken) == (0, 1)
    assert_counted(records)


def test_ids_of_a_transaction_that_failed_are_forgotten(folder):
    catalogue = Catalogue()
    key = (1, (200, 0))
    catalogue.begin(0)
    first = catalogue.resolve([key])[key]
    Series.objects.all().delete()  # as a rollback would
    catalogue.begin(0)
    second = catalogue.resolve([key])[key]
    assert second != first
    catalogue.commit()
    Series.objects.all().delete()
    catalogue.begin(0)
    assert catalogue.resolve([key])[key] == second, "remembered"
    catalogue.begin(1)
    assert catalogue.resolve([key])[key] != second, "another epoch: asked again"


def test_shuffled_delivery_gives_the_same_sums(folder):
    records = varied(200, spread=90_000)
    shuffled = records[:]
    random.Random(3).shuffle(shuffled)
    for part in range(4):
        spool(folder, shuffled[part::4], slot=part)
        Ingester(folder, batch=33, grace=0).run()
    assert_counted(records)
