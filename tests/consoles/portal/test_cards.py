"""The cards of the catalogue."""

import datetime

import pytest
from django.test import Client
from django.urls import reverse

from tests.consoles.portal.people import market

pytestmark = pytest.mark.django_db
TODAY = datetime.datetime.now(datetime.UTC).date()
DAY = datetime.timedelta(days=1)


def written(day):
    return f"{day.day} {day:%B %Y}"


@pytest.mark.parametrize(
    ("deprecated_at", "sunset_at", "words"),
    [
        (TODAY, None, f"Deprecated since {written(TODAY)}</p>"),
        (TODAY + DAY, None, f"Deprecated from {written(TODAY + DAY)}</p>"),
        (TODAY - DAY, TODAY, f"Deprecated since {written(TODAY - DAY)}, ends on {written(TODAY)}</p>"),
        (None, TODAY, f"Ends on {written(TODAY)}</p>"),
        (None, TODAY - DAY, f"Its end was set to {written(TODAY - DAY)}</p>"),
    ],
)
def test_a_card_says_since_when_its_api_is_deprecated_and_when_it_ends(deprecated_at, sunset_at, words):
    market(lifecycle="deprecated", deprecated_at=deprecated_at, sunset_at=sunset_at)
    html = Client().get(reverse("portal:catalogue")).content.decode()
    assert words in html and ">deprecated</span>" in html


def test_days_of_an_api_that_is_not_deprecated_are_not_told():
    market(deprecated_at=TODAY, sunset_at=TODAY)
    html = Client().get(reverse("portal:catalogue")).content.decode()
    assert "api-lifetime" not in html and "eprecated" not in html
