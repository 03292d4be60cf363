"""The traffic log, its drawer, and the numbers on the overview, which agree with each other."""

import time

import msgspec
import pytest
from django.urls import reverse

from analytics.ingest import Ingester
from analytics.models import RawRecord
from consoles.ui.charts import duration
from tests.analytics.traffic import record, spool
from tests.consoles.people import browser
from tests.consoles.world import make_world

pytestmark = pytest.mark.django_db
LOG = "console:traffic"


def keep(*records):
    """Put records into the log."""
    rows = [RawRecord(**msgspec.structs.asdict(one)) for one in records]
    return RawRecord.objects.bulk_create(rows)


def paths(**query):
    """The paths of the requests that the log shows."""
    return [shown["row"].path for shown in browser().get(reverse(LOG), query).context["rows"]]


def test_newest_first_page_by_page():
    now = time.time()
    keep(*(record(path=f"/{n}", time=now - n) for n in range(120)))
    client, url, seen = browser(), reverse(LOG), []
    while url:
        page = client.get(url)
        seen += [shown["row"].path for shown in page.context["rows"]]
        url = f"{reverse(LOG)}?{page.context['older']}" if page.context["older"] else ""
    assert seen == [f"/{n}" for n in range(120)]


def test_filters_narrow_and_say_so():
    keep(
        record(path="/ok"),
        record(path="/refused", status=429, code="rate-limit-exceeded", policy="rate-limit", method="POST"),
        record(path="/slow", duration_us=2_000_000, app="other"),
        record(path="/old", time=time.time() - 7200),
        record(path="/cut", status=0, state=2),
    )
    assert paths(status_class="4xx") == ["/refused"] == paths(method="POST") == paths(refused="1")
    assert paths(longer_than="1000") == ["/slow"] == paths(app="other")
    assert paths(status_class="none") == ["/cut"] and paths(text="ol") == ["/old"]
    assert "/old" not in paths(since="3600") and paths(code="rate-limit-exceeded") == ["/refused"]
    page = browser().get(reverse(LOG), {"app": "nobody"})
    assert "None match" in page.content.decode() and page.context["chips"][0].text == "App: nobody"


@pytest.mark.parametrize(
    "query",
    [
        {"status": "x"},
        {"status": "9" * 30},
        {"method": "'; --"},
        {"after": "nan_1"},
        {"after": "1_2_3"},
        {"since": "-1"},
        {"longer_than": "-5"},
        {"text": "\0%"},
        {"app": "x" * 5000},
        {"status_class": "9xx"},
    ],
)
def test_nonsense_in_the_address_is_no_error(query):
    keep(record())
    assert browser().get(reverse(LOG), query).status_code == 200


def test_the_drawer_says_why():
    world = make_world()
    (row,) = keep(
        record(
            api="shop",
            route="shop-orders",
            app="checkout",
            status=429,
            code="rate-limit-exceeded",
            policy="rate-limit",
            rule="5/minute by consumer",
        )
    )
    url = reverse("console:traffic-detail", args=[row.pk])
    part = browser().get(url, headers={"HX-Request": "true", "HX-Target": "drawer-content"}).content.decode()
    assert "<html" not in part and "5/minute by consumer" in part and "Why it did not get through" in part
    for path in ("apis", "routes", "apps"):
        assert reverse(f"console:{path}-detail", args=[world[path].pk]) in part
    assert "<html" in browser().get(url).content.decode()


def test_a_request_id_in_the_search_leads_to_the_request():
    (row,) = keep(record(request_id="0123456789abcdef"))
    found = browser().get(reverse("console:search"), {"q": "0123456789abcdef"}).context["groups"]
    assert found[0]["rows"][0]["url"] == reverse("console:traffic-detail", args=[row.pk])


def test_hostile_requests_show_as_text():
    hostile = "<img src=x onerror=alert(1)>"
    (row,) = keep(record(path=hostile, user_agent=hostile, app=hostile, code=hostile, rule=hostile))
    for url in (reverse(LOG), reverse("console:traffic-detail", args=[row.pk])):
        assert hostile not in browser().get(url).content.decode()


def test_the_overview_counts_what_the_log_holds(tmp_path):
    now = time.time()
    statuses = (200, 200, 404, 502, 0)
    spool(
        tmp_path,
        [record(time=now - n % 600, status=statuses[n % 5], code="x" * (n % 5 > 1)) for n in range(100)],
    )
    Ingester(tmp_path, grace=0).run()
    page = browser().get(reverse("console:overview-traffic"), {"range": "3600"})
    totals = page.context["totals"]
    assert (totals.count, totals.failures) == (100, 40)
    assert sum(sum(line["values"]) for line in page.context["charts"][0].data["lines"]) == 100
    table = page.context["charts"][0].rows
    assert sum(int(value) for row in table for value in row[1:] if value) == 100
    counted, after, client = 0, "", browser()
    while after is not None:
        log = client.get(f"{reverse(LOG)}?{after}")
        counted += len(log.context["rows"])
        after = log.context["older"] or None
    assert counted == 100


def test_an_empty_overview_has_no_blank_chart():
    page = browser().get(reverse("console:overview-traffic"), {"range": "nonsense"}).content.decode()
    assert "No requests in this time." in page and "data-chart=" not in page


@pytest.mark.parametrize(
    ("microseconds", "text"), [(None, ""), (12.0, "12 µs"), (8100.0, "8.1 ms"), (2_500_000.0, "2.50 s")]
)
def test_durations_in_the_unit_that_fits(microseconds, text):
    assert duration(microseconds) == text
