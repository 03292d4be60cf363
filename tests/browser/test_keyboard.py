"""By keyboard alone: the skip link, a focus that is seen and not covered, dialogs that keep and give back focus."""

import pytest
from django.urls import reverse

from tests.browser.visits import CHROMIUM, LOOKS, cookies_of, visitor
from tests.consoles.people import browser
from tests.consoles.portal import people
from tests.consoles.world import make_world

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
TABS = 30
_SEEN = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  if (one === document.body) return "";
  const marked = (parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== "none") || style.boxShadow !== "none"
    || getComputedStyle(one, "::after").outlineStyle !== "none";
  if (!marked) return `no focus is seen on ${one.outerHTML.slice(0, 120)}`;
  const middle = (from, to, end) => (Math.max(from, 0) + Math.min(to, end)) / 2;
  const [x, y] = [middle(box.left, box.right, innerWidth), middle(box.top, box.bottom, innerHeight)];
  const top = document.elementFromPoint(x, y);
  const shown = top && (one.contains(top) || top.contains(one) || one.labels?.[0]?.contains(top));
  const words = (element) => element && element.outerHTML.slice(0, 120);
  return shown || box.bottom < 0 ? "" : `${words(one)} is covered by ${words(top)}`;
}"""


def pages():
    """Some pages of both, and who reads them."""
    people.market()
    dana = people.with_app("dana")
    member = cookies_of(browser("olga"))
    developer = cookies_of(people.browser(dana.developer))
    names = {"console:overview": member, "console:apis-list": member, "console:routes-create": member}
    found = {name: (reverse(name), cookies) for name, cookies in names.items()}
    found["portal:api"] = (reverse("portal:api", args=["shop"]), developer)
    found["portal:app"] = (reverse("portal:app", args=[dana.app.pk]), developer)
    return found


def test_focus_is_seen_and_not_covered(live_server):
    wrong = []
    with_pages = pages()
    with visitor(live_server.url) as visiting:
        for name, (url, cookies) in with_pages.items():
            visiting.become(cookies)
            visiting.page.emulate_media(color_scheme="dark")
            visiting.go(url, name)
            assert visiting.page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
            for look in LOOKS[:2]:
                visiting.show_as(look)
                visiting.page.evaluate("document.activeElement.blur()")
                for _ in range(TABS):
                    visiting.page.keyboard.press("Tab")
                    problem = visiting.page.evaluate(_SEEN)
                    wrong += [f"{name} {look}: {problem}"] if problem else []
    assert "\n".join(wrong) == ""


def test_the_skip_link_leads_past_the_menu(live_server):
    with_pages = pages()
    with visitor(live_server.url) as visiting:
        page = visiting.page
        for name in ("console:apis-list", "portal:app"):
            url, cookies = with_pages[name]
            visiting.become(cookies)
            visiting.go(url, name)
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip-link"
            assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
            page.keyboard.press("Enter")
            page.keyboard.press("Tab")
            assert page.evaluate("document.querySelector('#main').contains(document.activeElement)")
    assert visiting.found == []


def test_the_search_takes_the_focus_and_gives_it_back(live_server):
    make_world()
    with visitor(live_server.url, cookies_of(browser("olga"))) as visiting:
        page = visiting.page
        visiting.go(reverse("console:apis-list"))
        page.locator(".search-button").focus()
        page.keyboard.press("Control+k")
        assert page.evaluate("document.activeElement.id") == "palette-text"
        for _ in range(6):
            page.keyboard.press("Tab")
            inside = "document.querySelector('#palette').contains(document.activeElement)"
            assert page.evaluate(f"{inside} || document.activeElement === document.body")
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.matches('.search-button')")
    assert visiting.found == []
