"""The traffic log, its drawer, and the numbers on the overview, which agree with each other."""

import csv
import io
import json
import shlex
import subprocess
import time

import msgspec
import pytest
from django.urls import reverse

from analytics.ingest import Ingester
from analytics.models import QuarantinedSegment, RawRecord
from analytics.traffic_log import LogFilters
from consoles.admin.traffic_curl import curl_of
from consoles.admin.traffic_download import json_chunks, records
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


def test_what_is_left_out_is_a_chip_that_can_be_taken_away():
    keep(
        record(path="/ok", app="a"),
        record(path="/other", app="b"),
        record(path="/refused", app="a", status=429),
        record(path="/cut", app="a", status=0),
    )
    assert set(paths(**{"not": ["app:b", "status:429"]})) == {"/cut", "/ok"}
    assert set(paths(**{"not": "status:0"})) == {"/ok", "/other", "/refused"}
    assert set(paths(**{"not": "text:/o"})) == {"/refused", "/cut"}
    page = browser().get(reverse(LOG), {"not": ["app:b", "status:429"], "app": "a"})
    chips = page.context["chips"]
    assert [chip.text for chip in chips] == ["App: a", "not App: b", "not Status: 429"]
    assert chips[1].url == "?app=a&not=status%3A429"


def test_every_cell_leads_to_the_log_with_and_without_its_value():
    now = time.time()
    keep(record(path="/a b", time=now, status=404, method="POST", app="x:y", duration_us=5_000))
    keep(record(path="/other", time=now - 600, duration_us=1_000))
    shown = (
        browser().get(reverse(LOG), {"column": ["time", "status", "request", "app", "took"]}).context["rows"]
    )
    cells = {cell.column.name: cell for cell in shown[0]["cells"]}
    for name in ("time", "status", "request", "app", "took"):
        found = browser().get(f"{reverse(LOG)}?{cells[name].only}").context["rows"]
        assert [one["row"].path for one in found] == ["/a b"], name
    for name in ("status", "request", "app"):
        found = browser().get(f"{reverse(LOG)}?{cells[name].without}").context["rows"]
        assert [one["row"].path for one in found] == ["/other"], name


def test_the_log_as_csv_and_json_is_the_log():
    keep(
        *(record(path=f"/{n}", time=1_790_000_000 - n, app="a" if n % 2 else "b") for n in range(700)),
        record(path="/formula", user_agent="=1+1", app="c", credential="very-secret-name"),
    )
    client, url = browser("vera"), reverse("console:traffic-download")
    text = client.get(url, {"app": "a"}).getvalue().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["path"] for row in rows] == [f"/{n}" for n in range(1, 700, 2)]
    assert rows[0]["time"] == "2026-09-21T14:13:19.000Z"
    found = json.loads(client.get(url, {"not": "app:c", "as": "json"}).getvalue())
    assert found["complete"] and [one["path"] for one in found["records"]] == [f"/{n}" for n in range(700)]
    formula = client.get(url, {"app": "c"}).getvalue().decode("utf-8-sig")
    assert "'=1+1" in formula and "very-secret-name" not in formula
    assert json.loads(client.get(url, {"app": "none", "as": "json"}).getvalue())["records"] == []


def test_a_file_of_the_log_that_is_cut_says_so():
    keep(*(record(path=f"/{n}") for n in range(12)))
    found = json.loads("".join(json_chunks(records(LogFilters(), 10), 10)))
    assert len(found["records"]) == 10 and not found["complete"] and "There is more" in found["note"]


def test_a_request_as_curl_is_one_shell_command_without_a_key(tmp_path):
    world = make_world()
    hostile = "/shop/$(touch x);`id`'\"&|%0a"
    row = RawRecord(**msgspec.structs.asdict(record(path=hostile, method="POST", host="a';id;'", api="shop")))
    words = shlex.split(curl_of(row))
    assert words[0] == "curl" and words[-1].endswith(hostile) and "x-api-key: $KEY" in words
    assert words[words.index("-X") + 1] == "POST" and "Host: a';id;'" in words
    printed = curl_of(row).replace("curl", "printf '%s\\n'", 1)
    done = subprocess.run(
        ["sh", "-c", printed], env={"KEY": "k"}, cwd=tmp_path, capture_output=True, check=True
    )
    assert hostile in done.stdout.decode() and "x-api-key: k" in done.stdout.decode()
    assert list(tmp_path.iterdir()) == []
    world["policies"].delete()
    assert "KEY" not in curl_of(row)


def test_none_yet_none_match_and_recording_off_are_told_apart(settings):
    client, url = browser(), reverse(LOG)
    assert "No requests yet" in client.get(url).content.decode()
    assert "None match" in client.get(url, {"not": "app:x"}).content.decode()
    settings.TIDEGATE_RAW_ROWS = 0
    assert "Recording is off" in client.get(url).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"not": ["status:x", "app:", "nonsense:1", "pk:1", ":", "status:" + "9" * 30]},
        {"not": ["app:\0"] * 500, "column": ["nonsense"]},
        {"start": "9" * 11, "end": "x"},
        {"shorter_than": "9" * 9},
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


def test_a_segment_that_was_set_aside_is_shown_with_what_to_do():
    address = reverse("console:overview-traffic")
    assert "could not be read" not in browser().get(address).content.decode()
    for number in range(7):
        QuarantinedSegment.objects.create(
            name=f"n1-0-{number}-<b>", node="n1", offset=4096, lost_bytes=2048, reason="wrong checksum"
        )
    html = browser().get(address).content.decode()
    assert "7 segments of the traffic record could not be read to the end" in html and "and 2 more" in html
    assert "wrong checksum" in html and "spool/quarantine" in html and "n1-0-6-&lt;b&gt;" in html
    assert "<b>" not in html
