"""The catalogue and the page of an Api, for everybody; hostile documents show as text."""

import datetime
import json

import pytest
from django.test import Client
from django.urls import reverse

from consoles.portal import live, openapi, schemas
from consoles.portal.openapi import Unreadable, read
from proxy.config.publish import publish
from proxy.models import Api, Policy
from tests.consoles.portal.people import OPENAPI, browser, market, with_app

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>"


def page(name="catalogue", *args, **query):
    return Client().get(reverse(f"portal:{name}", args=args), query)


def test_before_the_first_publish_there_is_nothing():
    assert "No Apis yet" in page().content.decode()


def test_only_public_apis_are_listed():
    market()
    for lifecycle in ("draft", "retired", "deprecated"):
        Api.objects.create(
            slug=f"one-{lifecycle}", base_path=f"/{lifecycle}", visibility="public", lifecycle=lifecycle
        )
    publish("more", "olga")
    assert set(live.catalogue().apis) == {"shop", "one-deprecated"}
    html = page().content.decode()
    assert "Shop" in html and "Inside" not in html and "deprecated" in html


def test_search_narrows_and_says_when_nothing_fits():
    market(description="Orders and carts", tags=["retail"])
    assert [api.slug for api in page(q="RETAIL order").context["apis"]] == ["shop"]
    assert (
        "None match" in page(q=HOSTILE).content.decode() and HOSTILE not in page(q=HOSTILE).content.decode()
    )


def test_the_page_of_an_api_shows_its_reference_and_its_plans():
    market()
    html = page("api", "shop").content.decode()
    for text in ("/orders/{id}", "One order", "lines[].sku", "&lt;b&gt;What&lt;/b&gt;", "integer (int64)"):
        assert text in html
    assert "60 calls a minute" in html and "Approved by hand" in html and "x-shop-key" in html


def test_a_deprecated_api_says_when_it_ends():
    today = datetime.datetime.now(datetime.UTC).date()
    market(
        lifecycle="deprecated",
        deprecated_at=datetime.date(2026, 1, 1),
        sunset_at=today,
        documentation_url="https://docs.example.test/move",
    )
    html = page("api", "shop").content.decode()
    day = f"{today.day} {today:%B %Y}"
    assert f"deprecated, ends on {day}" in html and "deprecated since 1 January 2026" in html
    assert f"until the end of {day} (UTC)" in html and 'href="https://docs.example.test/move"' in html
    Api.objects.filter(slug="shop").update(sunset_at=today - datetime.timedelta(days=1))
    publish("over", "olga")
    html = page("api", "shop").content.decode()
    assert "deprecated, its end was set to" in html and "may end at any time" in html
    Api.objects.filter(slug="shop").update(deprecated_at=today + datetime.timedelta(days=1), sunset_at=None)
    publish("ahead", "olga")
    html = page("api", "shop").content.decode()
    assert "will be deprecated on" in html and "deprecated since" not in html


def test_scripts_of_that_page_alone_may_call_the_gateway():
    market(hosts=["shop.example.test", "*.example.test"])
    assert (
        "connect-src 'self' http://shop.example.test:8000;" in page("api", "shop")["Content-Security-Policy"]
    )
    assert "connect-src 'self';" in page()["Content-Security-Policy"]


def test_the_document_is_served_as_it_was_written():
    market()
    answer = page("openapi", "shop")
    assert answer.content.decode() == OPENAPI and "attachment" in answer["Content-Disposition"]


def test_whether_trying_works_is_said():
    market()
    assert "does not let web pages call it" in page("api", "shop").content.decode()
    Policy.objects.create(name="cors", scope="global")
    publish("cors", "olga")
    assert "does not let web pages call it" not in page("api", "shop").content.decode()


def test_hostile_texts_show_as_text():
    parameter = {"in": "query", "name": HOSTILE, "example": HOSTILE, "description": HOSTILE}
    get = {"summary": HOSTILE, "tags": [HOSTILE], "parameters": [parameter]}
    get["responses"] = {HOSTILE: {"description": HOSTILE, "content": {HOSTILE: {"example": HOSTILE}}}}
    market(title=HOSTILE, description=HOSTILE, openapi=json.dumps({"paths": {f"/{HOSTILE}": {"get": get}}}))
    html = page("api", "shop").content.decode() + page().content.decode()
    assert html.count("alert(1)") > 12 and "<script>alert" not in html


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "paths: 3",
        "- x",
        "{}",
        "[" * 100_000,
        '{"paths": {}, "a":' + "[" * 100_000,
        "a: &a [*a]",
        "!!python/object:os.system {}",
        "x" * 600_000,
        "\0",
        "{? x: y}: 3",
        "1: 2",
        "{paths: {}, a: !!bool maybe}",
        "{paths: {}, a: !!timestamp soon}",
        "{paths: {}, a: !!int ''}",
        "paths: {}\na0: &a0 [x]\n"
        + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)),
    ],
)
def test_a_document_that_cannot_be_shown_is_said(text):
    with pytest.raises(Unreadable):
        read(text)


def test_a_page_with_a_broken_document_is_a_page():
    market(openapi="paths: [")
    assert "neither JSON nor YAML" in page("api", "shop").content.decode()


@pytest.mark.parametrize(
    "operation",
    [
        {"parameters": 3, "responses": [], "requestBody": "x", "tags": [None]},
        {"parameters": [3, None, {"$ref": "#/nowhere"}, {"$ref": 3}, {"in": "cookie", "name": "x"}]},
        {"requestBody": {"$ref": "https://evil.example/x.json#/a"}},
        {"responses": {"200": {"content": {"a/b": {"schema": {"$ref": "#/loop"}, "examples": []}}}}},
        {
            "responses": {
                "200": {
                    "content": {
                        "a/b": {
                            "schema": {"properties": 3, "allOf": 3, "items": [], "enum": [{}], "required": 3}
                        }
                    }
                }
            }
        },
        {"responses": {"200": {"content": {"a/b": {"schema": {"type": ["string", None], "oneOf": []}}}}}},
    ],
)
def test_odd_documents_are_read_as_far_as_they_go(operation):
    whole = {
        "paths": {"/x": {"get": operation}, "/y": 3, "/z": {"$ref": "#/paths/~1z"}},
        "loop": {"$ref": "#/loop"},
    }
    (one,) = read(json.dumps(whole)).groups.popitem()[1]
    assert one.method == "GET" and one.path == "/x"


def test_documents_that_refer_to_themselves_have_an_end():
    tree = {"type": "object", "properties": {f"p{number}": {"$ref": "#/tree"} for number in range(9)}}
    whole = {
        "tree": tree,
        "paths": {
            "/x": {"get": {"responses": {"200": {"content": {"a/b": {"schema": {"$ref": "#/tree"}}}}}}}
        },
    }
    (one,) = read(json.dumps(whole)).groups[""]
    assert len(one.answers[0].contents[0].rows) == schemas.MAX_ROWS + 1


def test_a_long_document_is_cut():
    whole = {"paths": {f"/{number}": {"get": {}} for number in range(openapi.MAX_OPERATIONS + 1)}}
    shown = read(json.dumps(whole))
    assert shown.truncated and len(shown.groups[""]) == openapi.MAX_OPERATIONS


def test_pages_ask_the_database_little(django_assert_max_num_queries):
    market()
    dana = with_app("dana")
    for number in range(5):
        dana.app.credentials.create(digest=bytes([number]) * 16)
    client = browser(dana.developer)
    places = [reverse("portal:catalogue"), reverse("portal:api", args=["shop"]), reverse("portal:apps")]
    places += [reverse(f"portal:{name}", args=[dana.app.pk]) for name in ("app", "usage", "key-new")]
    for url in [*places, reverse("portal:access", args=["shop"])]:
        with django_assert_max_num_queries(30):
            assert client.get(url).status_code == 200
