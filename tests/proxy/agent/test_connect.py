"""The way to the database, and why there is none."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection

from proxy.agent.connect import MigrationsMissing, describe, missing_migrations


@pytest.mark.django_db
def test_a_migrated_database_lacks_nothing() -> None:
    assert missing_migrations() == []


@pytest.mark.django_db
def test_a_migration_that_was_not_applied_is_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'proxy'")
    assert missing_migrations()[0].startswith("proxy.0001")


def test_an_error_is_told_in_one_line_with_what_to_do() -> None:
    line = describe(OperationalError("connection refused\nIs the server running?"))
    assert "connection refused. Start it or set DATABASE_URL" in line
    assert "\n" not in line


def test_a_database_that_does_not_answer_is_told_too() -> None:
    assert "it does not answer" in describe(None)


def test_our_own_errors_stay_as_they_are() -> None:
    assert describe(MigrationsMissing("Run: python manage.py migrate")) == "Run: python manage.py migrate"
