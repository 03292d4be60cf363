"""In a real browser: keys, ticks and the file of a list; and that errors can be read in the dark."""

import pytest
from django.urls import reverse

from consoles.models import Membership
from proxy.models import Api
from tests.browser.visits import CHROMIUM, cookies_of
from tests.consoles.people import browser, member

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
CONTRAST = """(element) => {
  const part = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((v) => part(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let box = element;
  while (/, 0\\)$|transparent/.test(getComputedStyle(box).backgroundColor)) box = box.parentElement;
  const both = [light(getComputedStyle(element).color), light(getComputedStyle(box).backgroundColor)];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}"""
"""WCAG 2.2, contrast ratio of an element's text and what is behind it."""


@pytest.fixture
def page(live_server, monkeypatch):
    """A signed-in editor's page in Chromium; errors of scripts fail the test."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's loop runs in this thread
    Api.objects.bulk_create(Api(slug=f"api-{n}", base_path=f"/a{n}") for n in range(4))
    wrong = []
    with playwright.sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = chromium.new_context(base_url=live_server.url)
        cookies = cookies_of(browser("eddie"))
        context.add_cookies(
            [{"name": one, "value": value, "url": live_server.url} for one, value in cookies.items()]
        )
        opened = context.new_page()
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        yield opened
        chromium.close()
    assert wrong == []


def focused(page):
    """The text of what has the focus."""
    return page.evaluate("document.activeElement.textContent")


def test_keys_move_open_edit_and_jump(page):
    page.goto(reverse("console:apis-list"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert focused(page) == "api-0"
    page.keyboard.press("x")
    assert page.locator("[data-bulk-count]").inner_text() == "1 selected"
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/apis/*/")
    assert page.locator("h1").inner_text() == "api-1"
    page.keyboard.press("e")
    page.wait_for_url("**/edit/")
    page.locator("#main").focus()
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/routes/")
    page.keyboard.press("n")
    page.wait_for_url("**/routes/new/")


def test_help_opens_and_closes_and_keys_are_letters_in_fields(page):
    page.goto(reverse("console:apis-list"))
    page.keyboard.press("?")
    assert (
        page.locator("#help").is_visible()
        and page.locator("#help").get_by_text("Next and previous row").is_visible()
    )
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("gr?jn")
    assert page.locator("#q").input_value() == "gr?jn" and not page.locator("#help").is_visible()


def test_turned_off_no_single_key_does_anything(page):
    Membership.objects.filter(user=member("eddie")).update(shortcuts=False)
    page.goto(reverse("console:apis-list"))
    for key in ("?", "n", "j", "g", "r"):
        page.keyboard.press(key)
    assert not page.locator("#help").is_visible() and page.url.endswith("/apis/")
    page.keyboard.press("Control+k")
    assert page.locator("#palette").is_visible()
    page.get_by_role("link", name="New Route").wait_for()


def test_all_on_the_page_are_ticked_and_deleted_together(page):
    page.goto(reverse("console:apis-list"))
    assert not page.locator("[data-bulk]").is_visible()
    page.get_by_label("Select all on this page").check()
    page.get_by_label("Select api-2").uncheck()
    page.locator("[data-bulk]").get_by_role("button", name="Delete").click()
    page.get_by_label("Type delete 3 to confirm").fill("delete 3")
    page.get_by_role("button", name="Delete 3").click()
    page.get_by_text("3 Apis are deleted.").wait_for()
    assert [api.slug for api in Api.objects.all()] == ["api-2"]


def test_the_link_to_the_file_follows_the_filters(page):
    page.goto(reverse("console:apis-list"))
    page.locator("#q").fill("api-3")
    page.wait_for_url("**/apis/?q=api-3")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert "api-3" in text and "api-2" not in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_errors_can_be_read(page, theme):
    Membership.objects.filter(user=member("eddie")).update(theme=theme)
    page.goto(reverse("console:apis-create"))
    page.get_by_role("button", name="Save").click()
    error = page.locator(".invalid-feedback").first
    error.wait_for()
    assert error.evaluate(CONTRAST) >= 4.5
