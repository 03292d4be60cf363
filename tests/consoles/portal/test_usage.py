"""The own traffic: exact numbers, the reasons of failures, and nothing of anybody else."""

import pytest
from django.db.models import F
from django.urls import reverse

from analytics.answers import Line, Timeline
from analytics.ingest import Ingester
from analytics.models import RawRecord
from consoles.portal.reasons import reason
from consoles.portal.usage import BARS, HEIGHT, chart
from proxy.models import App
from tests.analytics.traffic import record, spool
from tests.consoles.portal.people import browser, market, with_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def traffic(tmp_path):
    """dana: 3 good, 2 limited, 1 failed by the service; mallory: 4 limited."""
    market()
    dana, mallory = with_app("dana"), with_app("mallory")
    limited = {"status": 429, "state": 1, "code": "rate-limit-exceeded", "rule": "60/minute by consumer"}
    mine = {"app": "dana-app", "credential": str(dana.key.pk), "api": "shop"}
    theirs = {"app": "mallory-app", "api": "shop", "path": "/of-mallory"}
    records = [record(**mine) for _ in range(3)] + [record(**mine, **limited) for _ in range(2)]
    records += [record(**mine, status=503, path="/shop/<b>", request_id="the-one")]
    records += [record(**theirs, **limited) for _ in range(4)]
    spool(tmp_path / "spool", records)
    Ingester(tmp_path / "spool", grace=0).run()
    return dana, mallory


def test_the_numbers_are_those_of_the_own_calls(traffic):
    dana, _mallory = traffic
    answer = browser(dana.developer).get(reverse("portal:usage", args=[dana.app.pk]))
    html = answer.content.decode()
    assert answer.context["totals"].count == 6 and answer.context["error_share"] == "50.0 %"
    assert [one["status"] for one in answer.context["failures"]].count(429) == 2
    assert "Too many calls: the limit is 60/minute" in html and "the-one" in html
    assert "/shop/&lt;b&gt;" in html and "mallory" not in html
    assert "10.0.0.1" not in html and "192.0.2.10" not in html
    bars = answer.context["chart"].bars
    assert [sum(bar[place] for bar in bars) for place in (1, 2, 3)] == [3, 2, 1]


@pytest.mark.parametrize("chosen", ["1h", "24h", "7d", "30d", "'; drop", "", "1h\0"])
def test_every_range_is_a_page(traffic, chosen):
    dana, _ = traffic
    answer = browser(dana.developer).get(reverse("portal:usage", args=[dana.app.pk]), {"range": chosen})
    assert answer.status_code == 200 and answer.context["totals"].count == 6


def test_an_app_has_nothing_of_one_that_had_its_name(traffic):
    dana, mallory = traffic
    RawRecord.objects.update(time=F("time") - 7200)
    name = dana.app.name
    dana.app.delete()
    app = App.objects.create(name=name, developer=mallory.developer)
    answer = browser(mallory.developer).get(reverse("portal:usage", args=[app.pk]), {"range": "24h"})
    assert answer.context["failures"] == [] and "the-one" not in answer.content.decode()


def test_an_app_without_calls_says_so(traffic):
    dana, _ = traffic
    dana.app.name = "another-name"
    dana.app.save()
    answer = browser(dana.developer).get(reverse("portal:usage", args=[dana.app.pk]))
    assert "No calls in the last 24 hours" in answer.content.decode()


def test_the_list_of_apps_has_the_calls_of_a_day(traffic):
    dana, _ = traffic
    ((app, calls),) = browser(dana.developer).get(reverse("portal:apps")).context["rows"]
    assert app == dana.app and calls.count == 6 and calls.failures == 1


def test_the_first_call_with_a_key_is_noticed(traffic):
    dana, mallory = traffic
    found = browser(dana.developer).get(reverse("portal:key-first-call", args=[dana.key.pk])).content.decode()
    assert "The first call arrived" in found and "hx-get" not in found
    other = browser(mallory.developer).get(reverse("portal:key-first-call", args=[mallory.key.pk]))
    assert "Waiting" in other.content.decode() and "hx-get" in other.content.decode()


def test_the_chart_is_all_there_was():
    times = list(range(0, 60 * 137, 60))
    timeline = Timeline(60, times, [Line("2xx", [1.0] * 137), Line("none", [None, *[2.0] * 136])])
    drawn = chart(timeline)
    assert len(drawn.bars) <= BARS and sum(bar.good for bar in drawn.bars) == 137
    assert sum(bar.failed for bar in drawn.bars) == 272
    assert all(part.y >= 0 and part.y + part.height <= HEIGHT + 0.02 for part in drawn.parts)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("rate-limit-exceeded", 429, 1, "5/minute by ip"), "Too many calls: the limit is 5/minute"),
        (("some-policy", 403, 1), "Some policy"),
        (("upstream-timeout", 504, 0), "The service did not answer in time"),
        (("", 504, 4), "The service did not answer in time"),
        (("", 500, 0), "The service answered with an error (500)"),
        (("", 404, 0), "The service has nothing there"),
        (("", 0, 2), "Your client closed the connection before the answer"),
    ],
)
def test_reasons_are_words_for_people(call, words):
    assert reason(*call).words == words
