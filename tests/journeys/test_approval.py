"""A Plan that somebody has to approve: asked for in one window, approved in another."""

from __future__ import annotations

from collections.abc import Callable

from tests.journeys.stage import Stage
from tests.journeys.window import Window

EMAIL = "gustav@example.test"
SOON = 10.0
"""Seconds from the approval to the first good call; it takes one or two on a machine at rest."""


def test_a_plan_that_needs_approval(stage: Stage, window: Callable[[Stage], Window]) -> None:
    gustav, admin = window(stage), window(stage)
    gustav.sign_up(EMAIL)
    gustav.open("/portal/apis/shop/")
    gustav.page.get_by_role("link", name="Choose Gold").click()
    gustav.fill("Name of the new App", "Gold mine")
    gustav.press("Get access")
    gustav.heading("Gold mine")
    gustav.says("Somebody has to approve it")
    apis = gustav.page.get_by_role("table", name="Apis that Gold mine may call")
    apis.get_by_role("row").filter(has_text="pending").wait_for()
    app = gustav.page.url
    key = make_key(gustav)
    # The key is known, but the Api is not for it yet.
    stage.answers(403, "/shop/", key)

    admin.sign_in("admin", stage.password)
    approve(admin)
    assert stage.answers(200, "/shop/", key) < SOON

    gustav.page.goto(app)
    apis.get_by_role("row").filter(has_text="accepted").wait_for()


def make_key(developer: Window) -> str:
    """On the page of an App."""
    developer.follow("New key")
    developer.fill("What it is for", "digging")
    developer.press("Make the key")
    developer.heading("Your key")
    return developer.secret()


def approve(admin: Window) -> None:
    """Found among those that wait, and approved on its page; the audit has it."""
    admin.open("/console/subscriptions/?status=pending")
    waiting = admin.page.get_by_role("row").filter(has_text="gold")
    waiting.get_by_role("link", name="#").click()
    admin.heading("Gold mine uses shop")
    admin.press("Approve")
    admin.says("Subscription approved.")
    assert admin.page.get_by_role("button", name="Approve").count() == 0
    admin.open("/console/audit/?action=approve")
    entry = admin.page.get_by_role("row").filter(has_text="Gold mine")
    assert "admin" in entry.inner_text()
