"""In a real browser: numbers and rows come by themselves, as text, and come back after a lost connection."""

import shutil

import pytest

from tests.analytics.traffic import record

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
_LAST = (
    "path => { const link = document.querySelector('.tail-table tbody tr:last-child a');"
    " return link !== null && link.textContent.endsWith(path); }"
)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page(console):
    """A signed-in page; whatever its scripts complain of fails the test."""
    wrong = []
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1200, "height": 800})
        context.add_cookies([{"name": "sessionid", "value": console.sessions["vera"], "url": console.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        yield page
        browser.close()
    assert wrong == []


def test_the_rate_on_the_overview_moves_by_itself(console, worker, page):
    page.goto(f"{console.url}/console/")
    playwright.expect(page.locator("[data-live-state=live]")).to_be_visible(timeout=20_000)
    rate = page.locator("[data-live=rate]")
    playwright.expect(rate).to_have_text("0")
    for _ in range(300):
        worker.serve(record(api=HOSTILE, status=200))
    playwright.expect(rate).not_to_have_text("0", timeout=10_000)
    apis = page.locator("[data-live-list=apis]")
    playwright.expect(apis).to_contain_text(f"{HOSTILE}300")
    assert page.locator("[data-live-chart] canvas").count() == 1
    assert page.locator("#announcer").inner_text() == ""
    health = page.locator("[data-live=health]")
    playwright.expect(health).to_have_text("none is checked")
    worker.metrics.target_ejected("orders", "10.0.0.1:80")
    playwright.expect(health).to_have_text("1 ejected", timeout=10_000)


def test_without_a_connection_the_overview_asks_for_its_fragment(console, worker, page):
    broken = [True]
    page.route_web_socket(
        lambda url: True,
        lambda socket: socket.close(code=4503) if broken else socket.connect_to_server(),
    )
    page.goto(f"{console.url}/console/")
    playwright.expect(page.get_by_text("reconnecting…", exact=True)).to_be_visible()
    with page.expect_request(lambda request: request.headers.get("hx-target") == "node"):
        pass
    playwright.expect(page.locator("[data-live=revision]")).to_have_text("7")
    broken.clear()
    playwright.expect(page.locator("[data-live-state=live]")).to_be_visible(timeout=40_000)
    playwright.expect(page.locator("[data-live-list=workers]")).to_contain_text("revision 7")


def test_the_tail(console, worker, page):
    page.goto(f"{console.url}/console/tail/?method=POST")
    playwright.expect(page.locator("[data-live-state=live]")).to_be_visible(timeout=20_000)
    worker.serve(record(method="GET", path="/not-wanted"))
    for number in range(30):
        worker.serve(record(method="POST", path=f"/{HOSTILE}/{number}", user_agent=HOSTILE))
    last = page.get_by_role("link", name=f"POST api.example.com/{HOSTILE}/29")
    playwright.expect(last).to_be_visible()
    playwright.expect(page.locator("[data-tail-count]")).to_have_text("25 rows, 5 dropped")
    assert page.locator(".tail-table img").count() == 0 and page.get_by_text("/not-wanted").count() == 0

    last.click()
    drawer = page.locator("#drawer")
    playwright.expect(drawer).to_contain_text("Not in the traffic log yet")
    worker.serve(record(method="POST", path="/while-it-is-open"))
    playwright.expect(page.locator("[data-tail-count]")).to_have_text("25 rows, paused, 1 waiting, 5 dropped")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Resume").click()
    playwright.expect(page.get_by_role("link", name="POST api.example.com/while-it-is-open")).to_be_visible()

    page.get_by_label("Text").fill("nothing-like-it")
    playwright.expect(page.get_by_text("No request that matches these filters yet.")).to_be_visible()
    assert "text=nothing-like-it" in page.url and page.locator(".tail-table tbody tr").count() == 0


def test_no_more_than_500_rows(console, worker, page):
    for number in range(200):
        worker.serve(record(path=f"/many/first-{number}"))
    page.goto(f"{console.url}/console/tail/?text=/many/")
    playwright.expect(page.locator("[data-live-state=live]")).to_be_visible(timeout=20_000)
    number = 0
    while page.locator(".tail-table tbody tr").count() < 500:
        for _ in range(25):
            number += 1
            worker.serve(record(path=f"/many/{number}"))
        page.wait_for_function(_LAST, arg=f"/many/{number}")
    for _ in range(25):
        number += 1
        worker.serve(record(path=f"/many/{number}"))
    page.wait_for_function(_LAST, arg=f"/many/{number}")
    assert page.locator(".tail-table tbody tr").count() == 500
