"""In a real browser: from nobody to a key, in both widths, without scripts that the policy forbids."""

import re
import shutil

import pytest
from django.core import mail
from django.urls import reverse

from proxy.models import App, Credential, Developer
from tests.consoles.portal.people import market

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]


@pytest.mark.parametrize("width", [360, 1440])
def test_from_the_catalogue_to_a_key(live_server, width):
    market()
    wrong = []
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.goto(live_server.url + reverse("portal:catalogue"))
        page.get_by_role("link", name="Shop", exact=True).click()
        page.locator("summary", has_text="One order").click()
        assert page.get_by_label("id", exact=True).is_visible() and _fits(page)
        page.get_by_role("link", name="Choose Free").click()
        page.get_by_label("E-mail").fill("dana@example.test")
        page.get_by_role("button", name="Send me a code").click()
        page.get_by_label("Code").fill(_code())
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        page.get_by_label("Name of the new App").fill("Checkout")
        assert _fits(page)
        page.get_by_role("button", name="Get access").click()
        raw = page.locator("code.secret").inner_text()
        assert raw in page.locator("pre.snippet").inner_text() and _fits(page)
        page.get_by_role("link", name="I have copied it").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Checkout" and _fits(page)
        assert raw not in page.content()
        browser.close()
    assert wrong == []
    assert Developer.objects.get().email == "dana@example.test"
    assert App.objects.get().title == "Checkout" and Credential.objects.get().usable


def _code():
    return re.search(r"code is (\d{4} \d{4})", mail.outbox[-1].body).group(1)


def _fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")
