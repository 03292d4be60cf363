"""Analytics and the traffic log: the numbers of the records, and nothing that was not asked for."""

import datetime
import time
from collections import Counter

import pytest

from analytics.ingest import Ingester
from tests.analytics.traffic import record, spool, varied

pytestmark = [pytest.mark.django_db, pytest.mark.database]

HOUR = 3600


@pytest.fixture
def records(tmp_path, db):
    found = [
        *varied(300, spread=HOUR // 2),
        record(api="shop", code="rate_limited", policy="rate-limit", status=429),
    ]
    spool(tmp_path, found)
    Ingester(tmp_path, grace=0).run()
    return found


def test_totals_are_those_of_the_records(records, editor):
    found = editor("GET", "analytics/totals?seconds=7200").json()
    assert found["count"] == len(records)
    assert sum(found["classes"].values()) == sum(found["states"].values()) == len(records)
    assert found["latency"]["p50"] > 0
    one = editor("GET", "analytics/totals?seconds=7200&api=shop&status=429").json()
    assert one["count"] == sum(item.api == "shop" and item.status == 429 for item in records)
    two = editor("GET", "analytics/totals?seconds=7200&status=200&status=429").json()
    assert two["count"] == sum(item.status in (200, 429) for item in records)


def test_rankings_and_charts(records, editor):
    counted = Counter(item.api for item in records)
    top = editor("GET", "analytics/top?seconds=7200&by=api&limit=2").json()["groups"]
    assert [row["totals"]["count"] for row in top] == [number for _, number in counted.most_common(2)]
    errors = editor("GET", "analytics/errors?seconds=7200").json()["groups"]
    assert {"code": "rate_limited", "policy": "rate-limit", "status": "429"} in [
        row["labels"] for row in errors
    ]
    chart = editor("GET", "analytics/timeline?seconds=7200&split=class").json()
    assert sum(sum(line["values"]) for line in chart["lines"]) == len(records)
    latency = editor("GET", "analytics/latency?seconds=7200&upstream=true").json()
    assert [line["label"] for line in latency["lines"]] == ["p50", "p95", "p99"]


def test_the_log_page_by_page(records, editor):
    seen, after = [], ""
    while True:
        page = editor("GET", f"traffic?page_size=100{after}").json()
        seen += [row["request_id"] for row in page["results"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == [item.request_id for item in sorted(records, key=lambda item: -item.time)]
    one = editor("GET", f"traffic?request_id={seen[0]}").json()["results"]
    assert editor("GET", f"traffic/{one[0]['id']}").json() == one[0]
    refused = editor("GET", "traffic?refused=true&api=shop&state=ok&method=GET").json()["results"]
    assert all(row["code"] and row["api"] == "shop" for row in refused)


@pytest.mark.parametrize(
    "query",
    [
        "analytics/totals?seconds=0",
        "analytics/totals?seconds=999999999999",
        "analytics/totals?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z",
        "analytics/totals?start=0001-01-01T00:00:00Z",
        "analytics/totals?end=9999-12-31T23:59:59Z",
        "analytics/totals?end=0001-01-01T00:00:01Z",
        "analytics/totals?series__api=shop",
        "analytics/totals?status=x",
        "analytics/totals?state=9",
        "analytics/totals?" + "&".join(["api=a"] * 51),
        "analytics/top",
        "analytics/top?by=password",
        "analytics/top?by=api&order=id",
        "analytics/top?by=api&limit=1000",
        "analytics/timeline?split=series",
        "traffic?after=1",
        "traffic?after=nan_1",
        "traffic?page_size=1000",
        "traffic?path__regex=x",
        "traffic?longer_than=99999999999999999999",
        "traffic?method=get",
    ],
)
def test_what_cannot_be_asked(records, editor, query):
    answer = editor("GET", query)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:tidegate:problem:invalid"), answer.json()


def test_ranges_by_their_bounds(records, editor):
    now = datetime.datetime.fromtimestamp(time.time() + 60, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert editor("GET", f"analytics/totals?end={now}&seconds=7200").json()["count"] == len(records)
    assert (
        editor("GET", "analytics/totals?start=2025-01-01T00:00:00Z&end=2025-01-02T00:00:00Z").json()["count"]
        == 0
    )
