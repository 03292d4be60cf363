"""A developer who knows nothing yet: sign-up, a key, the first 200, and why a later call failed."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.gateway.processes import wait_until
from tests.journeys.stage import PATIENCE, Stage
from tests.journeys.window import Window

EMAIL = "dana@example.test"


def test_from_sign_up_to_the_first_200(stage: Stage, window: Callable[[Stage], Window]) -> None:
    dana = window(stage)
    key = from_the_catalogue_to_a_key(dana)
    # It is good within a second; a first call that comes too early is refused, and nobody's.
    dana.says("Waiting for the first call with this key")
    stage.answers(200, "/shop/lamps", key)
    dana.says("The first call arrived: GET /shop/lamps, answered 200.")

    try_it(dana, key)
    assert stage.call("/shop/lamps", key).status_code == 200
    refused = stage.call("/shop/too-many", key)
    assert refused.status_code == 429
    usage(dana, stage, refused.headers["x-request-id"])


def from_the_catalogue_to_a_key(dana: Window) -> str:
    """Reading takes no account; the Plan that was chosen is not lost on the way through the e-mail."""
    dana.open("/portal/")
    dana.page.get_by_role("link", name="Shop", exact=True).click()
    dana.heading("Shop")
    dana.says("3 calls a day")
    dana.page.get_by_role("link", name="Choose Free").click()
    dana.heading("Sign in or sign up")
    dana.enter(EMAIL)
    dana.heading("Get access to Shop")
    assert dana.page.get_by_role("radio", name="Free").is_checked()
    dana.fill("Name of the new App", "Lamp shop")
    dana.press("Get access")
    dana.heading("Your key")
    dana.press("Copy key")
    dana.page.get_by_role("button", name="Copied").wait_for()
    key = dana.secret()
    assert dana.page.evaluate("navigator.clipboard.readText()") == key
    return key


def try_it(dana: Window, key: str) -> None:
    """From the Api's page itself, which is of another origin than the gateway."""
    dana.open("/portal/apis/shop/")
    dana.fill("Your key, for trying", key)
    dana.fill("Path and query", "/shop/lamps?from=the-page")
    dana.press("Send")
    dana.says("200 OK")
    assert "/shop/lamps?from=the-page" in dana.page.get_by_role("main").locator("[data-result]").inner_text()


def usage(dana: Window, stage: Stage, refused: str) -> None:
    """The own usage has all four calls, the failed one with its reason."""
    dana.open("/portal/apps/")
    dana.follow("Usage of Lamp shop")
    dana.heading("Usage of Lamp shop")
    row = dana.page.get_by_role("row").filter(has_text=refused)
    chart = dana.page.get_by_role("img", name=re.compile("^4 calls in the last"))

    def there() -> bool:
        dana.page.reload()
        return bool(row.count() == 1 and chart.count() == 1)

    wait_until(there, PATIENCE, stage.product.log)
    for text in ("GET /shop/too-many", "429", "Too many calls"):
        assert text in row.inner_text()
    reasons = dana.page.get_by_role("table", name="Reasons of refusals by the gateway")
    assert "Too many calls" in reasons.inner_text()
