"""The tasks as Celery calls them."""

from __future__ import annotations

import fcntl

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from analytics import tasks
from analytics.models import RawRecord, TaskLock
from gatewayproject.celery import app, node_queue
from tests.analytics.traffic import record, spool

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path, settings):
    settings.TIDEGATE_DATA = tmp_path
    tasks.ingester.cache_clear()
    return tasks.spool()


def test_the_schedule_names_tasks_that_exist():
    app.loader.import_default_modules()
    entries = app.conf.beat_schedule
    assert {entry["task"] for entry in entries.values()} <= set(app.tasks)
    assert entries["analytics.ingest"]["schedule"] == 1.0
    assert entries["analytics.ingest"]["options"]["queue"].startswith("node.")
    assert node_queue("a") != node_queue("b")


def test_ingest_counts_this_nodes_spool(folder):
    spool(folder, [record()])
    tasks.ingest()
    assert RawRecord.objects.count() == 1
    tasks.ingest()
    assert RawRecord.objects.count() == 1


def test_ingest_keeps_the_number_of_raw_records(folder, settings):
    settings.TIDEGATE_RAW_ROWS = 10
    spool(folder, [record() for _ in range(50)])
    tasks.ingest()
    assert RawRecord.objects.count() == 10


def test_one_process_of_a_node_ingests_at_a_time(folder, capsys):
    spool(folder, [record()])
    with (folder / "ingest.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert tasks.run_ingest(folder) is None
        with pytest.raises(CommandError, match="Another process"):
            call_command("ingest")
    call_command("ingest")
    assert "1 records in 1 batches" in capsys.readouterr().out


def test_without_a_database_the_spool_waits(folder, monkeypatch, caplog):
    spool(folder, [record()])

    def away(*_: object):
        raise OperationalError("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr("analytics.ingest.claim", away)
        assert tasks.run_ingest(folder) is None
    assert "wait in the spool" in caplog.text
    assert tasks.run_ingest(folder).records == 1


def test_cleaning_runs_once_for_all_nodes(folder, monkeypatch):
    calls = []
    monkeypatch.setattr(tasks.retention, "clean", calls.append)
    TaskLock.objects.create(name="clean", holder="another", until=9e9)
    tasks.clean()
    assert calls == []
    TaskLock.objects.update(until=0.0)
    tasks.clean()
    assert len(calls) == 1


def test_certificates_are_warned_of(folder, caplog):
    import datetime

    from django.utils import timezone

    from proxy.models import Certificate

    soon = timezone.now() + datetime.timedelta(days=3, hours=1)
    Certificate.objects.bulk_create([Certificate(name="shop", chain="", key="", expires_at=soon)])
    tasks.certificates()
    assert "shop expires in 3 days" in caplog.text
