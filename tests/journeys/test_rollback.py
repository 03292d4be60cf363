"""A Revision breaks something; the one before is published again; the audit says who did what."""

from __future__ import annotations

from collections.abc import Callable

from tests.journeys.stage import Stage
from tests.journeys.window import Window

PATH = "/open/hours"


def test_back_to_the_revision_before(stage: Stage, window: Callable[[Stage], Window]) -> None:
    name, password = stage.product.manage("admin", "create", "rita").split()
    stage.answers(200, PATH)
    rita = window(stage)
    rita.sign_in(name, password)
    good = live_revision(rita)
    broken = break_the_route(rita)
    assert broken == good + 1
    stage.answers(404, PATH)

    again = roll_back(rita, good)
    assert again == broken + 1
    stage.answers(200, PATH)
    rita.open("/console/publish/")
    rita.says("Nothing to publish")
    who_did_it(rita, again, good)


def live_revision(rita: Window) -> int:
    """The newest in the list is what is live."""
    rita.open("/console/revisions/")
    newest = rita.page.get_by_role("row").filter(has_text="live")
    newest.get_by_role("link", name="#").first.click()
    return rita.live()


def break_the_route(rita: Window) -> int:
    """One letter too many in the path."""
    rita.open("/console/routes/?q=open")
    rita.page.get_by_role("main").get_by_role("link", name="open", exact=True).first.click()
    rita.heading("open")
    rita.follow("Edit")
    rita.fill("Path", "/hourz")
    rita.press("Save")
    rita.says("saved. It takes effect with the next publish.")
    return rita.publish("Only the hours are for everybody")


def roll_back(rita: Window, good: int) -> int:
    """By clicks from the list, with a look at what it changes."""
    rita.open("/console/revisions/")
    rita.page.get_by_role("main").get_by_role("link", name=f"#{good}", exact=True).click()
    rita.heading(f"Revision {good}")
    rita.follow("Roll back to this")
    rita.heading(f"Roll back to revision {good}")
    rita.says("1 change to what is live")
    rita.page.get_by_label("Note").fill("The hours are gone")
    rita.press("Roll back")
    number = rita.live()
    rita.says(f"Rolled back: revision {number} is revision {good} again.")
    return number


def who_did_it(rita: Window, again: int, good: int) -> None:
    """The entry names the person, and from which Revision to which."""
    rita.open("/console/audit/?action=rollback&actor=rita")
    entry = (
        rita.page.get_by_role("row")
        .filter(has_text=f"#{again}")
        .or_(rita.page.get_by_role("row").filter(has_text=f"Revision {again}"))
    )
    entry.first.get_by_role("link", name="#").last.click()
    main = rita.page.get_by_role("main")
    main.get_by_text("rita", exact=True).first.wait_for()
    changed = main.get_by_role("table", name="What changed").inner_text().split()
    assert changed[-3:] == ["revision", str(again - 1), str(good)]
