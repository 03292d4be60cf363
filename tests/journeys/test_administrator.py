"""An administrator, from the first start to a limited Api that is called with a key, and why a call failed."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.gateway.processes import wait_until
from tests.journeys.stage import PATIENCE, Stage
from tests.journeys.window import Window

LIMIT = 4
ADD_POLICY = "/console/policies/new/?scope=api&api={api}"


def test_from_an_empty_console_to_a_limited_api(empty: Stage, window: Callable[[Stage], Window]) -> None:
    admin = window(empty)
    admin.sign_in("admin", empty.password)
    admin.open("/console/publish/")
    admin.says("Nothing is published yet.")

    service(admin, empty.upstream.port)
    api = offer(admin)
    protect(admin, api)
    key = key_of_a_new_app(admin)
    publish(admin)

    refused = call_until_refused(empty, key)
    why_in_the_log(admin, empty, refused)
    why_by_its_id(admin, refused)


def service(admin: Window, port: int) -> None:
    """An Upstream and its Target."""
    admin.save("/console/upstreams/new/", name="stock")
    admin.heading("stock")
    admin.says("No Targets yet")
    admin.page.get_by_role("main").get_by_role("link", name="Add Target").click()
    admin.fill("Host", "127.0.0.1")
    admin.fill("Port", str(port))
    admin.press("Save")
    admin.heading(f"127.0.0.1:{port}")


def offer(admin: Window) -> str:
    """An Api and its Route, which the match tester finds; the Api's id."""
    admin.save("/console/apis/new/", name="stock", title="Stock", base_path="/stock")
    admin.heading("Stock")
    api = admin.page.url.rstrip("/").rpartition("/")[2]
    admin.page.get_by_role("main").get_by_role("link", name="Add Route").click()
    admin.fill("Name", "items")
    admin.fill("Path", "/items")
    admin.choose("Upstream", "stock")
    admin.press("Save")
    admin.heading("items")
    # The tester on the Route's page asks by itself, and anew with each letter.
    admin.says("takes it")
    admin.fill("Address", "http://localhost/stock/things")
    admin.says("The answer is 404.")
    admin.fill("Address", "http://localhost/stock/items/7")
    admin.says("takes it")
    return api


def protect(admin: Window, api: str) -> None:
    """A key is asked for, and only so many calls are let through."""
    admin.open(ADD_POLICY.format(api=api))
    admin.page.get_by_role("heading", level=2, name="key-auth").click()
    admin.heading("New key-auth for one api")
    admin.press("Save")
    admin.heading("key-auth")
    admin.open(ADD_POLICY.format(api=api))
    admin.page.get_by_role("heading", level=2, name="rate-limit").click()
    admin.fill("Amount", str(LIMIT))
    admin.choose("Period", "day")
    preview = admin.page.get_by_role("region", name="As YAML")
    preview.get_by_text(f"amount: {LIMIT}").wait_for()
    admin.press("Save")
    admin.heading("rate-limit")


def key_of_a_new_app(admin: Window) -> str:
    """Copied with the button; nowhere to be seen after that."""
    admin.save("/console/apps/new/", name="till", title="Till")
    admin.heading("Till")
    admin.follow("Issue key")
    admin.fill("What it is for", "the journey")
    admin.press("Save")
    admin.heading("New key for Till")
    admin.press("Copy key")
    admin.page.get_by_role("button", name="Copied").wait_for()
    key = str(admin.page.evaluate("navigator.clipboard.readText()"))
    assert key == admin.secret()
    admin.follow("I have copied it")
    admin.heading("Till")
    assert key not in admin.page.content()
    return key


def publish(admin: Window) -> None:
    """The pill leads to the differences; with a note they become the Revision that the node runs."""
    admin.open("/console/apis/")
    admin.page.get_by_role("link", name=re.compile(r"\d+ unpublished changes")).click()
    admin.heading("Publish")
    for name in ("api stock", "upstream stock"):
        differences = admin.page.get_by_role("region", name=f"Differences of {name}")
        assert differences.is_visible(), name
    differences = admin.page.get_by_role("region", name="Differences of api stock")
    assert "base_path: /stock" in differences.inner_text()
    admin.page.get_by_label("Note").fill("Stock goes live")
    admin.press("Publish")
    assert admin.live() == 1
    admin.says("Stock goes live")
    assert admin.page.get_by_role("link", name=re.compile("unpublished")).count() == 0


def call_until_refused(stage: Stage, key: str) -> str:
    """The request id of the call that was one too many."""
    stage.answers(200, "/stock/items/7", key)
    for _ in range(LIMIT - 1):
        answer = stage.call("/stock/items/7", key)
        assert answer.status_code == 200 and answer.json()["target"] == "/stock/items/7"
    assert stage.call("/stock/items/7").status_code == 401
    refused = stage.call("/stock/items/7", key)
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
    return refused.headers["x-request-id"]


def why_in_the_log(admin: Window, stage: Stage, request_id: str) -> None:
    """The refused call is in the log; its drawer says why."""
    admin.open("/console/traffic/?refused=1")
    row = admin.page.get_by_role("row").filter(has_text="rate-limit-exceeded")

    def there() -> bool:
        admin.page.reload()
        return bool(row.count() == 1)

    wait_until(there, PATIENCE, stage.product.log)
    row.get_by_role("link", name="GET /stock/items/7").click()
    drawer = admin.page.get_by_role("dialog", name="Request")
    drawer.get_by_text("Why it did not get through").wait_for()
    for text in ("rate-limit-exceeded", request_id, "till", "items"):
        assert drawer.get_by_text(text, exact=True).first.is_visible(), text
    drawer.get_by_role("button", name="Close").click()


def why_by_its_id(admin: Window, request_id: str) -> None:
    """The request id in the search leads to the same."""
    admin.page.keyboard.press("Control+k")
    palette = admin.page.get_by_role("dialog", name="Search")
    palette.get_by_label("Search for any object").fill(request_id)
    palette.get_by_role("link", name="GET /stock/items/7").click()
    admin.heading("GET /stock/items/7")
    admin.says("Why it did not get through")
    assert request_id in admin.page.get_by_role("main").inner_text()
