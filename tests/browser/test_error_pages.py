"""Pages that only come when something fails: as accessible as the others, and nothing secret on them."""

import pytest
from django.urls import include, path, reverse

from consoles.models import Membership
from tests.browser.visits import CHROMIUM, LOOKS, cookies_of, visitor
from tests.consoles.people import browser

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
SECRET = "the-password-of-the-database"


def fail(request):
    """A page with a mistake in it."""
    raise RuntimeError(SECRET)


urlpatterns = [path("fails/", fail), path("", include("gatewayproject.urls"))]
"""With these the live server runs in the test of a failure."""


def submit_without_token(visiting, button):
    """Send the form of the page as another site would; the status of the answer."""
    visiting.refused = True
    visiting.page.locator("form input[name=csrfmiddlewaretoken]").evaluate_all(
        "all => all.forEach(one => one.remove())"
    )
    with visiting.page.expect_navigation() as answer:
        visiting.page.get_by_role("button", name=button, exact=True).click()
    return answer.value.status


def test_a_form_without_its_token(live_server):
    with visitor(live_server.url) as visiting:
        for name, url, fields, button in (
            ("console", reverse("console:sign-in"), {"Name": "olga", "Password": "secret"}, "Sign in"),
            ("portal", reverse("portal:sign-in"), {"E-mail": "dana@example.test"}, "Send me a code"),
        ):
            visiting.go(url, name)
            for label, value in fields.items():
                visiting.page.get_by_label(label).fill(value)
            assert submit_without_token(visiting, button) == 403
            text = visiting.page.locator("main").inner_text()
            assert "reload it and try again" in text and "CSRF" not in text
            visiting.look(f"{name}: form without a token", LOOKS)
    assert "\n".join(visiting.found) == ""


def test_a_failure(live_server, settings):
    settings.ROOT_URLCONF = __name__
    cookies = cookies_of(browser("olga"))
    Membership.objects.update(theme="dark")
    with visitor(live_server.url) as visiting:
        for who, theirs in (("nobody", {}), ("olga", cookies)):
            visiting.become(theirs)
            visiting.go("/fails/", who, 500)
            assert "That did not work" in visiting.page.locator("main").inner_text()
            assert SECRET not in visiting.page.content() and "RuntimeError" not in visiting.page.content()
            visiting.look(f"a failure, {who}", LOOKS)
    assert "\n".join(visiting.found) == ""
