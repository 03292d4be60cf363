"""Nothing is counted twice and nothing is lost, whatever happens to the ingesting processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection

pytestmark = [pytest.mark.django_db, pytest.mark.database]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def own_database(tmp_path):
    """Environment of processes that share a database of their own, of the kind that the tests run on."""
    environment = {**os.environ, "TIDEGATE_DATA": str(tmp_path)}
    if connection.vendor != "postgresql":
        yield environment
        return
    url = os.environ["DATABASE_URL"]
    name = f"tidegate_ingest_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield {**environment, "DATABASE_URL": urlsplit(url)._replace(path=f"/{name}").geturl()}
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(environment, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100
    )


@pytest.mark.parametrize("work", ["kill", "race"])
def test_killed_at_every_step_or_three_at_once(own_database, tmp_path, work):
    migrated = run(own_database, "manage.py", "migrate", "-v0")
    assert migrated.returncode == 0, migrated.stderr
    done = run(own_database, "-m", "tests.analytics.victims", work, str(tmp_path / "spool"))
    assert done.returncode == 0, done.stderr[-3000:]
    word, number = done.stdout.split()
    assert word == "ok"
    assert int(number) >= (40 if work == "kill" else 3)
