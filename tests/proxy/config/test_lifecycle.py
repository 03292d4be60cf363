"""What a deprecated Api tells its clients, from a file to the policy."""

import datetime

import msgspec
import pytest

from proxy.config import declarative
from proxy.config import document as d
from proxy.config.compile import compile_document
from proxy.config.publish import publish
from proxy.config.whole import problems_of
from proxy.counters.memory import MemoryCounters
from proxy.models import Api
from proxy.pipeline.registry import build
from proxy.pipeline.services import Services

SINCE, LAST = datetime.date(2026, 1, 1), datetime.date(2026, 12, 31)
URL = "https://docs.example.com/move?from=v1"
OLD = d.Api("old", lifecycle="deprecated", routes=(d.Route("r", redirect=d.Redirect(host="a.example")),))
FILE = f"""format: 1
apis:
  - slug: old
    lifecycle: deprecated
    deprecated_at: 2026-01-01
    sunset_at: "2026-12-31"
    documentation_url: {URL}
    routes:
      - {{name: r, redirect: {{host: a.example}}}}
"""


def policies(**values):
    return compile_document(d.Document(apis=(msgspec.structs.replace(OLD, **values),)), 1).policies


def test_since_when_until_when_and_where_to_read_more():
    own = d.Policy("transform-response", config={"remove_headers": ["server"]})
    first, told = policies(policies=(own,), deprecated_at=SINCE, sunset_at=LAST, documentation_url=URL)
    assert first.label == "transform-response.api.old"
    assert (told.name, told.label) == ("transform-response", "lifecycle:old")
    assert (told.scope, told.subject, told.mode) == ("api", "old", "enforce")
    assert told.config == {
        "add_headers": {"deprecation": "@1767225600", "sunset": "Thu, 31 Dec 2026 23:59:59 GMT"},
        "append_headers": {"link": [f'<{URL}>; rel="deprecation"']},
    }
    build(told, Services(counters=MemoryCounters(), identities=None)).close()


@pytest.mark.parametrize(
    ("values", "config"),
    [
        (
            {"sunset_at": datetime.date(2027, 2, 3)},
            {"add_headers": {"sunset": "Wed, 03 Feb 2027 23:59:59 GMT"}},
        ),
        ({"deprecated_at": datetime.date(1970, 1, 1)}, {"add_headers": {"deprecation": "@0"}}),
        ({}, None),
        ({"deprecated_at": SINCE, "lifecycle": "published"}, None),
        ({"deprecated_at": SINCE, "lifecycle": "draft"}, None),
        ({"deprecated_at": SINCE, "routes": (d.Route("r", enabled=False),)}, None),
    ],
)
def test_only_what_is_set_and_deprecated_is_told(values, config):
    assert [row.config for row in policies(**values)] == ([] if config is None else [config])


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"deprecated_at": LAST, "sunset_at": SINCE}, "sunset_at"),
        ({"documentation_url": "javascript:alert(1)"}, "documentation_url"),
        ({"documentation_url": "https://a.example/\r\nx: y"}, "documentation_url"),
    ],
)
def test_what_cannot_be_told_is_refused(values, field):
    found = problems_of(d.Document(apis=(msgspec.structs.replace(OLD, **values),)), ())
    assert [(row.object, row.field) for row in found] == [("api old", field)]


@pytest.mark.django_db
@pytest.mark.database
def test_days_go_through_files_and_the_database():
    declarative.apply(FILE)
    row = Api.objects.get()
    assert (row.deprecated_at, row.sunset_at, row.documentation_url) == (SINCE, LAST, URL)
    text = declarative.export()
    assert "deprecated_at: 2026-01-01\n" in text and declarative.apply(text) == []
    digest = publish().revision.digest
    assert declarative.apply(FILE) == [] and publish().changes == []
    (change,) = declarative.apply(FILE.replace("2026-12-31", "2027-01-31"))
    assert 'sunset_at: "2026-12-31" -> "2027-01-31"' in change
    assert publish().revision.digest != digest


@pytest.mark.django_db
@pytest.mark.parametrize("day", ["tomorrow", "2026-12-31T10:00:00Z", "'2026-13-01'", "5"])
def test_what_is_no_day_is_said_with_its_line(day):
    (problem,) = declarative.read(FILE.replace('"2026-12-31"', day)).problems
    assert (problem.line, problem.object, problem.field) == (6, "api old", "sunset_at")
