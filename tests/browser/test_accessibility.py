"""Every page in a real browser, light and dark, narrow and wide: axe has nothing serious, nothing overflows,
no script fails, and the Content-Security-Policy is kept. A new URL is visited as soon as it has its row."""

import pytest
from django.urls import reverse

from analytics.ingest import Ingester
from consoles.models import AuditEntry
from proxy.models import Api, App, Certificate, Developer, Upstream
from tests.analytics.traffic import record, spool, varied
from tests.browser.visits import CHROMIUM, cookies_of, visitor
from tests.consoles import test_access_matrix as console
from tests.consoles.people import browser
from tests.consoles.portal import people
from tests.consoles.portal import test_matrix as portal
from tests.consoles.world import make_world
from tests.proxy.config.pem import make_pair

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
LONG = "a-name-that-somebody-made-as-long-as-it-may-be-and-then-some"
NOTHING = "?q=nothing-is-called-like-this"


def visit_all(live_server, client, urls):
    """Everything that is wrong on those of the URLs that are whole pages, not parts for htmx or files."""
    answers = {name: (url, client.get(url)) for name, url in urls.items()}
    whole = {name: (url, answer.status_code) for name, (url, answer) in answers.items() if _is_page(answer)}
    assert whole and all(answer.status_code in (200, 302, 404) for _, answer in answers.values())
    with visitor(live_server.url, cookies_of(client)) as visiting:
        for number, (name, (url, status)) in enumerate(whole.items()):
            visiting.go(url, name, status)
            visiting.look(frame=number == 0)
    return "\n".join(visiting.found)


def _is_page(answer):
    return not answer.streaming and answer.content.lstrip()[:15].lower() == b"<!doctype html>"


def furnished(folder):
    """One of everything and something with a long name; traffic in all numbers; an unpublished change."""
    world = make_world()
    AuditEntry.objects.update(object_name="shop")
    chain, key = make_pair("shop.example.test")
    Certificate.objects.create(pk=1, name="shop", chain=chain, key=key)
    Api.objects.create(slug=LONG, title=LONG.replace("-", "") * 2, base_path=f"/{LONG}/{LONG}")
    App.objects.create(name=LONG, developer=Developer.objects.create(email=f"{LONG}@example.test"))
    Upstream.objects.create(name=LONG)
    wide = {"path": f"/shop/{LONG}{LONG}", "user_agent": f"{LONG}/1.0", "code": "rate-limit-exceeded"}
    _ingest(folder, [*varied(200), record(api="shop", app="checkout", status=429, state=1, **wide)])
    return world


def _ingest(folder, records):
    spool(folder, records)
    Ingester(folder, grace=0).run()


def console_urls(world):
    """By the names of the matrix: every page that may be read."""
    return {name: console.address(name, world) for name, row in console.MATRIX.items() if "GET" in row}


def lists():
    """The lists of all page families."""
    return {name: reverse(f"console:{name}") for name in console.MATRIX if name.endswith("-list")}


@pytest.mark.parametrize("half", [0, 1])
def test_pages_of_the_console(live_server, tmp_path, half):
    urls = console_urls(furnished(tmp_path))
    chosen = dict(sorted(urls.items())[half::2])
    assert visit_all(live_server, browser("olga"), chosen) == ""


def test_forms_of_every_policy(live_server):
    make_world()
    client = browser("olga")
    create = reverse("console:policies-create")
    kinds = client.get(create).context["kinds"]
    assert visit_all(live_server, client, {one["name"]: f"{create}?{one['query']}" for one in kinds}) == ""


def test_pages_with_nothing_on_them(live_server):
    client = browser("olga")
    names = ("overview", "publish", "traffic", "search", "match")
    urls = lists() | {name: reverse(f"console:{name}") for name in names}
    found = {f"{name}, nothing found": f"{url}{NOTHING}" for name, url in lists().items()}
    assert visit_all(live_server, client, urls | found) == ""


def test_pages_of_those_who_may_not(live_server):
    world = make_world()
    refused = {
        "not that role": ("vera", reverse("console:apis-edit", args=[world["apis"].pk]), 403),
        "no member": ("stranger", reverse("console:overview"), 403),
        "not there": ("vera", reverse("console:apis-detail", args=[987_654]), 404),
        "no such address": ("nobody", "/nothing/here/", 404),
        "signed out": ("nobody", reverse("console:sign-in"), 200),
    }
    cookies = {who: cookies_of(browser(who)) for who, _, _ in refused.values()}
    with visitor(live_server.url) as visiting:
        for name, (who, url, status) in refused.items():
            visiting.become(cookies[who])
            visiting.go(url, name, status)
            visiting.look()
    assert "\n".join(visiting.found) == ""


def portal_urls(theirs):
    """By the names of the matrices: every page that may be read, of the reader's own objects."""
    rows = portal.OPEN | portal.SIGNED_IN | {name: methods for name, (_, methods) in portal.OWN.items()}
    return {name: _portal_url(name, theirs) for name, methods in rows.items() if "GET" in methods}


def _portal_url(name, theirs):
    if name in portal.OWN:
        return reverse(f"portal:{name}", args=[theirs.pk(portal.OWN[name][0])])
    slug = ["shop"] if "slug" in portal.patterns()[name].pattern.converters else []
    return reverse(f"portal:{name}", args=slug)


def test_pages_of_the_portal(live_server, tmp_path):
    people.market(description=LONG * 3, tags=[LONG])
    dana = people.with_app("dana")
    App.objects.create(name=LONG, title=LONG.replace("-", ""), developer=dana.developer)
    mine = {"app": "dana-app", "credential": str(dana.key.pk), "api": "shop", "path": f"/shop/{LONG}{LONG}"}
    limited = {"status": 429, "state": 1, "code": "rate-limit-exceeded", "rule": "60/minute by consumer"}
    _ingest(tmp_path, [record(**mine), record(**mine, **limited), record(**mine, status=503)])
    urls = portal_urls(dana)
    urls["no such App"] = reverse("portal:app", args=[987_654])
    assert visit_all(live_server, people.browser(dana.developer), urls) == ""


def test_pages_of_the_portal_with_nothing_on_them(live_server):
    dana = people.developer("dana")
    app = App.objects.create(name="dana-app", developer=dana)
    urls = {name: reverse(f"portal:{name}") for name in ("catalogue", "apps")}
    urls |= {name: reverse(f"portal:{name}", args=[app.pk]) for name in ("app", "usage")}
    urls["nothing found"] = reverse("portal:catalogue") + NOTHING
    assert visit_all(live_server, people.browser(dana), urls) == ""


def test_pages_of_the_portal_for_everybody(live_server):
    people.market()
    urls = {name: _portal_url(name, None) for name, methods in portal.OPEN.items() if "GET" in methods}
    assert visit_all(live_server, people.browser(None), urls) == ""
