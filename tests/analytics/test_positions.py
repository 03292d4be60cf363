"""Rows of positions: when they come and when they may go."""

from __future__ import annotations

import datetime
import os
import sqlite3
from contextlib import closing

import pytest
from django.utils import timezone

from analytics.ingest import Ingester
from analytics.models import Position
from analytics.positions import ORPHAN_AGE, checkpointed, claim, finish, remove_orphans, spool_id
from proxy.telemetry.spool import segments
from tests.analytics.traffic import assert_counted, record, spool

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def quiet(name):
    """No step is of interest."""


def age(**fields):
    Position.objects.update(updated_at=timezone.now() - ORPHAN_AGE - datetime.timedelta(seconds=1), **fields)


def test_a_spool_keeps_its_id(tmp_path):
    assert spool_id(tmp_path) == spool_id(tmp_path) != spool_id(tmp_path.parent)
    assert os.listdir(tmp_path) == ["spool-id"]


def test_rows_without_a_file_go_when_they_are_old(tmp_path):
    spool(tmp_path, [record()])
    Ingester(tmp_path, grace=60).run()
    age()
    assert remove_orphans(tmp_path) == 0, "its file is there"
    segments(tmp_path)[0].path.unlink()
    Position.objects.update(updated_at=timezone.now())
    assert remove_orphans(tmp_path) == 0, "it is young"
    age()
    assert remove_orphans(tmp_path) == 1


def test_rows_of_another_node_stay(tmp_path):
    spool(tmp_path, [record()])
    Ingester(tmp_path, grace=60).run()
    segments(tmp_path)[0].path.unlink()
    age(spool="another")
    assert remove_orphans(tmp_path) == 0


def test_a_reader_from_before_a_row_was_made_anew_counts_nothing(tmp_path):
    """The worst order of events that three processes can bring about."""
    records = [record() for _ in range(5)]
    spool(tmp_path, records)
    reader = Ingester(tmp_path, grace=0)

    def others(name):
        if name != "added up" or Position.objects.filter(finished=True).exists():
            return
        Ingester(tmp_path, grace=60).run()
        [done] = claim(tmp_path, quiet)
        assert finish(done, 0, quiet)
        Position.objects.create(name=done.segment.name, spool="made from a stale listing")

    report = Ingester(tmp_path, grace=0, step=others)
    assert report.run().overtaken == 1
    reader.run()
    assert_counted(records)


def test_a_segment_stays_until_its_commit_is_on_the_disk(tmp_path):
    writer = sqlite3.connect(tmp_path / "database", isolation_level=None)
    reader = sqlite3.connect(tmp_path / "database", isolation_level=None)
    with closing(writer), closing(reader):
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA synchronous=NORMAL")
        writer.execute("CREATE TABLE counted (number INTEGER)")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM counted").fetchall()
        writer.execute("INSERT INTO counted VALUES (1)")
        assert not checkpointed(writer.cursor()), "it lies behind what is being read"
        reader.execute("COMMIT")
        assert checkpointed(writer.cursor())
