"""What each role sees and is refused, by clicks and by typing addresses; and what developers see of each other."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from tests.journeys.stage import Stage
from tests.journeys.window import Window

EDITED = "Open to everybody, day and night."


def test_roles_of_the_console(stage: Stage, window: Callable[[Stage], Window]) -> None:
    owner = window(stage)
    owner.sign_in("admin", stage.password)
    people = {role: add_member(owner, role) for role in ("Viewer", "Editor", "Publisher")}
    viewer, editor, publisher = window(stage), window(stage), window(stage)
    for role, one in (("Viewer", viewer), ("Editor", editor), ("Publisher", publisher)):
        one.sign_in(role.lower(), people[role])
        assert one.page.get_by_role("link", name="Members", exact=True).count() == 0
        refused(one, "/console/members/", "Owner")

    looks_only(viewer)
    edits(editor)
    publishes(publisher)
    shuts_out(owner, viewer)


def add_member(owner: Window, role: str) -> str:
    """From the menu; the password, which is shown once."""
    owner.page.get_by_role("link", name="Members", exact=True).click()
    owner.heading("Members")
    owner.follow("New member")
    owner.fill("Name", role.lower())
    owner.choose("Role", role)
    owner.press("Save")
    owner.heading(f"Password of {role.lower()}")
    return owner.secret()


def refused(person: Window, path: str, role: str) -> None:
    """Typing that address leads to a page that says which role it takes."""
    person.open(path, 403)
    person.says(f"This takes the role {role}")


def api_page(person: Window) -> str:
    """By clicks to an Api; its address."""
    person.open("/console/apis/?q=open")
    person.page.get_by_role("main").get_by_role("link", name="open", exact=True).click()
    person.heading("Open")
    return urlsplit(person.page.url).path


def looks_only(viewer: Window) -> None:
    """Everything but members can be seen, and nothing changed."""
    main = viewer.page.get_by_role("main")
    api = api_page(viewer)
    assert main.get_by_role("table", name="Routes").is_visible()
    for name in ("Edit", "Delete", "Add Route", "Add policy"):
        assert main.get_by_role("link", name=name, exact=True).count() == 0, name
    viewer.open("/console/apis/")
    assert main.get_by_role("link", name="New Api").count() == 0
    for path in (f"{api}edit/", f"{api}delete/", "/console/apis/new/", "/console/keys/new/"):
        refused(viewer, path, "Editor")
    viewer.open("/console/traffic/")
    viewer.heading("Traffic log")


def edits(editor: Window) -> None:
    """The draft is theirs, but not what is live."""
    api_page(editor)
    editor.follow("Edit")
    editor.fill("Description", EDITED)
    editor.press("Save")
    editor.says("saved. It takes effect with the next publish.")
    editor.page.get_by_role("link", name="unpublished change").click()
    editor.says("Publishing takes the role Publisher.")
    assert editor.page.get_by_label("Note").is_disabled()
    assert editor.page.get_by_role("main").get_by_role("button", name="Publish").count() == 0
    editor.open("/console/revisions/")
    oldest = editor.page.get_by_role("main").get_by_role("link", name="#1", exact=True)
    oldest.click()
    editor.heading("Revision 1")
    assert editor.page.get_by_role("link", name="Roll back to this").count() == 0
    refused(editor, f"{urlsplit(editor.page.url).path}rollback/", "Publisher")


def publishes(publisher: Window) -> None:
    """What the editor left there."""
    publisher.open("/console/publish/")
    assert EDITED in publisher.page.get_by_role("region", name="Differences of api open").inner_text()
    number = publisher.publish("The editor's words")
    publisher.open("/console/revisions/")
    row = publisher.page.get_by_role("row").filter(has_text=f"#{number}")
    assert "publisher" in row.inner_text() and "The editor's words" in row.inner_text()


def shuts_out(owner: Window, viewer: Window) -> None:
    """Who may not sign in any more is out with the next click."""
    owner.open("/console/members/")
    owner.page.get_by_role("main").get_by_role("link", name="viewer", exact=True).click()
    owner.follow("Edit")
    owner.page.get_by_label("May sign in").uncheck()
    owner.press("Save")
    owner.says("may not sign in")
    viewer.page.get_by_role("link", name="Apis", exact=True).click()
    viewer.heading("Sign in to the console")


def test_a_developer_never_sees_anothers_app(stage: Stage, window: Callable[[Stage], Window]) -> None:
    erin, mallory = window(stage), window(stage)
    erin.sign_up("erin@example.test")
    addresses = app_with_a_key(erin, "Erins secret")
    for path in addresses:
        erin.open(path)

    mallory.sign_up("mallory@example.test")
    app_with_a_key(mallory, "Nosy")
    for path in addresses:
        mallory.open(path, 404)
        mallory.says("Nothing at this address")
        assert "Erins" not in mallory.page.content() and "erin@" not in mallory.page.content()
    mallory.open("/portal/apps/")
    assert "Erins" not in mallory.page.content()
    mallory.open("/portal/apis/shop/access/?plan=steady")
    assert "Erins" not in mallory.page.content()
    # Nor the console.
    mallory.open("/console/apps/", 403)
    mallory.heading("Not a member of the console")


def app_with_a_key(developer: Window, title: str) -> list[str]:
    """All addresses that there are about an App, its Subscription and its key."""
    developer.open("/portal/apis/shop/access/?plan=steady")
    developer.fill("Name of the new App", title)
    developer.press("Get access")
    developer.follow("I have copied it")
    developer.heading(title)
    links = developer.page.get_by_role("main").get_by_role("link")
    targets = [urlsplit(str(link.get_attribute("href"))).path for link in links.all()]
    own = [path for path in targets if path.startswith(("/portal/apps/", "/portal/keys/", "/portal/subs"))]
    found = [urlsplit(developer.page.url).path, *(path for path in own if path != "/portal/apps/")]
    assert len(found) >= 7, found
    return found
