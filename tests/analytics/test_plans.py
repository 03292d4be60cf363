"""Which indexes of SQLite the traffic log goes through; PostgreSQL has statistics and chooses by them."""

from __future__ import annotations

import pytest

from analytics import raw
from analytics.batch import rows_of
from analytics.models import RawRecord
from analytics.traffic_log import LogFilters
from tests.analytics.traffic import varied

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "time"),
        ({"status_class": "2xx"}, "time"),
        ({"status_class": "5xx"}, "failed"),
        ({"status_class": "none"}, "failed"),
        ({"status": 404}, "failed"),
        ({"route": "api-2-1"}, "route"),
        ({"app": "app-0", "status_class": "4xx"}, "app"),
    ],
)
def test_pages_go_through_an_index_in_its_order(filters, index):
    raw.insert(rows_of(varied(300))[0])
    rows = RawRecord.objects.filter(LogFilters(**filters).condition()).order_by("-time", "-id")
    plan = rows[:50].explain()
    assert f"INDEX analytics_raw_{index}" in plan
    assert "TEMP B-TREE" not in plan
