"""Lists: search, filters, sorting, paging, empty states, and how many queries they take."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from consoles.ui.registry import families
from proxy.identity.keys import digest
from proxy.models import Api, App, Credential, Developer, Plan, Policy, Route, Subscription, Target, Upstream
from tests.consoles.people import browser
from tests.consoles.world import make_world

pytestmark = pytest.mark.django_db
MOST_QUERIES = 30


def names(answer):
    """The first cells of the rows that are shown."""
    return [row.url for row in answer.context["rows"]]


def make_many(count=60):
    """Enough of everything that a query for each row would show."""
    world = make_world()
    upstreams = Upstream.objects.bulk_create(Upstream(name=f"up{n}") for n in range(count))
    apis = Api.objects.bulk_create(Api(slug=f"api{n}", base_path=f"/a{n}") for n in range(count))
    Target.objects.bulk_create(Target(upstream=up, host="h", port=1) for up in upstreams)
    routes = Route.objects.bulk_create(
        Route(api=api, name=f"route{n}", upstream=upstreams[n]) for n, api in enumerate(apis)
    )
    plans = Plan.objects.bulk_create(Plan(name=f"plan{n}") for n in range(count))
    Policy.objects.bulk_create(Policy(name="key-auth", scope="route", route=route) for route in routes)
    developers = Developer.objects.bulk_create(Developer(email=f"d{n}@example.test") for n in range(count))
    apps = App.objects.bulk_create(App(name=f"app{n}", developer=developers[n]) for n in range(count))
    Subscription.objects.bulk_create(
        Subscription(app=app, api=apis[n], plan=plans[n], status="pending") for n, app in enumerate(apps)
    )
    Credential.objects.bulk_create(
        Credential(app=app, digest=digest(app.name.encode(), b"p" * 32), prefix="tg_abcde", last_four="wxyz")
        for app in apps
    )
    return world


def test_no_page_takes_many_queries_however_many_rows_there_are():
    world, client, counts = make_many(), browser(), {}
    urls = [reverse("console:overview"), reverse("console:publish"), f"{reverse('console:search')}?q=1"]
    for path, family in families().items():
        urls.append(family.url("list") + "?size=50")
        urls += [
            family.url(page, world[path])
            for page in ("detail", "edit", "delete")
            if path in world.rows
            and getattr(family, {"edit": "editable", "delete": "deletable"}.get(page, "model"))
        ]
    for url in urls:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(url).status_code == 200, url
        counts[url] = len(queries)
    assert {url: count for url, count in counts.items() if count > MOST_QUERIES} == {}


def test_search_narrows_and_says_how_many():
    make_many(3)
    answer = browser().get(reverse("console:apis-list"), {"q": "api1"})
    assert len(names(answer)) == 1 and "1–1 of 1" in answer.content.decode()


def test_filters_hold_together():
    world = make_world()
    Api.objects.create(slug="other", lifecycle="draft", visibility="public")
    client, url = browser(), reverse("console:apis-list")
    assert len(names(client.get(url, {"lifecycle": "draft"}))) == 1
    assert names(client.get(url, {"lifecycle": "draft", "visibility": "private"})) == []
    assert len(names(client.get(reverse("console:routes-list"), {"api": world["apis"].pk}))) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"lifecycle": "' OR 1=1 --"},
        {"sort": "pk; DROP TABLE"},
        {"sort": "-api__secret"},
        {"page": "-5"},
        {"page": "x"},
        {"size": "99999"},
        {"size": "²"},
        {"q": "%_\\'\""},
        {"q": "\0"},
        {"q": "x" * 5000},
    ],
)
def test_nonsense_in_the_address_is_ignored(query):
    make_world()
    assert browser().get(reverse("console:apis-list"), query).status_code == 200


def test_sorting_both_ways():
    for slug in ("b", "a", "c"):
        Api.objects.create(slug=slug)
    client, url = browser(), reverse("console:apis-list")
    up, down = client.get(url, {"sort": "slug"}), client.get(url, {"sort": "-slug"})
    assert names(up) == list(reversed(names(down)))
    assert (
        'aria-sort="ascending"' in up.content.decode() and 'aria-sort="descending"' in down.content.decode()
    )


def test_pages_of_a_list_hold_every_row_once():
    Api.objects.bulk_create(Api(slug=f"a{n:03}") for n in range(60))
    client, url = browser(), reverse("console:apis-list")
    found = [
        name for page in (1, 2, 3) for name in names(client.get(url, {"page": page, "sort": "lifecycle"}))
    ]
    assert len(found) == 60 == len(set(found))


def test_none_yet_is_not_none_match():
    client, url = browser(), reverse("console:plans-list")
    assert "No Plans yet" in client.get(url).content.decode()
    answer = client.get(url, {"q": "nothing"}).content.decode()
    assert "None match" in answer and "Clear search" in answer


def test_a_viewer_is_not_offered_what_they_may_not():
    world = make_world()
    page = browser("vera").get(reverse("console:plans-list")).content.decode()
    assert reverse("console:plans-create") not in page
    detail = browser("vera").get(reverse("console:plans-detail", args=[world["plans"].pk])).content.decode()
    assert reverse("console:plans-edit", args=[world["plans"].pk]) not in detail


def test_htmx_gets_the_table_alone_and_the_number_for_the_live_region():
    make_world()
    headers = {"HX-Request": "true", "HX-Target": "objects"}
    answer = browser().get(reverse("console:apis-list"), {"q": "shop", "sort": ""}, headers=headers)
    text = answer.content.decode()
    assert "<html" not in text and "1 Apis found" in text
    assert answer["HX-Push-Url"] == f"{reverse('console:apis-list')}?q=shop"
