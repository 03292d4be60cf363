"""A key is rolled while calls flow: not one of them fails until the old key is revoked."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.journeys.stage import Flow, Stage
from tests.journeys.window import Window

PATH = "/shop/parts"
SOON = 10.0
"""Seconds until the gateway knows of a key; it takes one on a machine at rest."""


def test_in_the_portal(stage: Stage, window: Callable[[Stage], Window]) -> None:
    kim = window(stage)
    kim.sign_up("kim@example.test")
    kim.open("/portal/apis/shop/access/?plan=steady")
    kim.fill("Name of the new App", "Parts")
    kim.press("Get access")
    old = kim.secret()
    kim.follow("I have copied it")
    kim.heading("Parts")
    app = kim.page.url
    stage.answers(200, PATH, old)
    with Flow(stage, PATH, old) as flow:
        flow.go_on()
        kim.page.get_by_role("link", name=re.compile("^Roll")).click()
        new = roll(kim)
        assert stage.answers(200, PATH, new) < SOON
        flow.go_on()
        assert set(flow.statuses) == {200}

        kim.page.goto(app)
        expiring = kim.page.get_by_role("row").filter(has_text="expires soon")
        expiring.get_by_role("link", name="Revoke").click()
        revoke(kim, "Parts")
        assert stage.answers(401, PATH, old) < SOON
    assert set(flow.statuses) <= {200, 401}
    assert stage.call(PATH, new).status_code == 200


def test_in_the_console(stage: Stage, window: Callable[[Stage], Window]) -> None:
    admin = window(stage)
    admin.sign_in("admin", stage.password)
    admin.save("/console/apps/new/", name="robot")
    admin.heading("robot")
    subscribe(admin)
    admin.open("/console/apps/?q=robot")
    admin.page.get_by_role("main").get_by_role("link", name="robot", exact=True).click()
    admin.follow("Issue key")
    admin.press("Save")
    old = admin.secret()
    admin.follow("I have copied it")
    stage.answers(200, PATH, old)
    keys = admin.page.get_by_role("table", name="Keys")
    keys.get_by_role("link").first.click()
    page = admin.page.url
    with Flow(stage, PATH, old) as flow:
        flow.go_on()
        admin.follow("Roll")
        new = roll(admin)
        assert stage.answers(200, PATH, new) < SOON
        flow.go_on()
        assert set(flow.statuses) == {200}

        admin.page.goto(page)
        admin.follow("Revoke")
        revoke(admin, "robot")
        assert stage.answers(401, PATH, old) < SOON
    assert set(flow.statuses) <= {200, 401}
    assert stage.call(PATH, new).status_code == 200


def subscribe(admin: Window) -> None:
    """The robot to the shop, by hand."""
    admin.page.get_by_role("main").get_by_role("link", name="Add Subscription").click()
    admin.choose("Api", "shop")
    admin.choose("Plan", "steady")
    admin.press("Save")
    admin.heading("robot uses shop")


def roll(owner: Window) -> str:
    """Both keys are good for an hour; the new one."""
    owner.choose("Both keys are good for", "1 hour")
    owner.press("Roll the key")
    owner.says("is good for 1 more hour.")
    return owner.secret()


def revoke(owner: Window, app: str) -> None:
    """Not without the App's name."""
    where = owner.page.url.partition("//")[2].partition("/")[2]
    owner.mean(f"/{where}", 422)
    owner.press("Revoke")
    owner.says(f"Type {app} to confirm.")
    owner.page.get_by_label(f"Type {app}").fill(app)
    owner.press("Revoke")
    owner.says("is revoked. The gateway knows within a second.")
