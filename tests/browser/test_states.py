"""What opens, fails and appears after a page has come: as accessible as pages, and by keyboard alone."""

import pytest
from django.urls import reverse

from tests.browser.visits import CHROMIUM, LOOKS, cookies_of, visitor
from tests.consoles import test_access_matrix as console
from tests.consoles.people import browser
from tests.consoles.world import make_world

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
FOCUSED = "document.activeElement"


@pytest.fixture
def seen(live_server):
    """The console as its owner sees it, with one of everything."""
    world = make_world()
    with visitor(live_server.url, cookies_of(browser("olga"))) as visiting:
        visiting.world = world
        yield visiting


def test_the_frame_of_every_page_in_all_looks(seen):
    for name in ("overview", "apis-list", "apis-detail", "routes-edit", "traffic"):
        seen.go(console.address(name, seen.world), name)
        seen.look(looks=LOOKS)
    assert "\n".join(seen.found) == ""


def test_what_opens(seen):
    seen.go(reverse("console:traffic"))
    seen.page.set_viewport_size({"width": 1440, "height": 900})
    seen.page.locator("summary[aria-label^=Account]").click()
    seen.look("the account's menu", LOOKS)
    seen.page.keyboard.press("Escape")
    seen.page.locator("#menu-toggle, [data-menu-toggle]").first.evaluate("one => one.click()")
    seen.look("the side bar on a phone", LOOKS)
    seen.page.keyboard.press("Control+k")
    seen.page.keyboard.type("shop")
    seen.page.locator("#palette-results a").first.wait_for()
    seen.look("the search", LOOKS)
    assert "\n".join(seen.found) == ""


def test_the_drawer_of_a_request(seen):
    seen.go(reverse("console:traffic"))
    opener = seen.page.locator("[hx-target='#drawer-content']").first
    opener.click()
    seen.page.locator("dialog#drawer[open] .drawer-title").wait_for()
    assert seen.page.evaluate(f"document.querySelector('#drawer').contains({FOCUSED})")
    seen.look("the drawer", LOOKS)
    seen.page.keyboard.press("Escape")
    seen.page.locator("dialog#drawer[open]").wait_for(state="hidden")
    assert opener.evaluate(f"one => one === {FOCUSED}")
    assert "\n".join(seen.found) == ""


@pytest.mark.parametrize("name", ["apis", "routes", "certificates", "members", "keys"])
def test_forms_that_are_wrong(seen, name):
    seen.go(reverse(f"console:{name}-create"))
    seen.page.evaluate("document.querySelectorAll('main form').forEach((one) => { one.noValidate = true })")
    seen.refused = True
    seen.page.locator("main form .btn-primary, main form .btn-success").last.click()
    seen.page.locator("[aria-invalid=true]").first.wait_for()
    assert seen.page.evaluate(f"{FOCUSED}.getAttribute('aria-invalid')") == "true"
    seen.look(f"{name} with errors")
    assert "\n".join(seen.found) == ""
