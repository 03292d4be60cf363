"""One person's browser: its own cookies, and a record of all that goes wrong in it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.journeys.stage import PATIENCE, Stage

WATCH = """
document.addEventListener("securitypolicyviolation", (event) => {
    console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI || "inline"}`);
});
"""


class Window:
    """A page in a context of its own. `close` asserts that nothing went wrong in it.

    Chromium writes a line for each answer of 400 or above; `refusals` are those that the journey meant.
    """

    def __init__(self, browser: Any, stage: Stage) -> None:
        self.stage = stage
        self.wrong: list[str] = []
        self.context = browser.new_context(
            base_url=stage.site, viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
        )
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=stage.site)
        self.context.set_default_timeout(PATIENCE * 1000)
        self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self._meant: set[tuple[str, int]] = set()
        self.page.on("pageerror", lambda error: self.wrong.append(f"{self.page.url}: {error}"))
        self.page.on("console", self._noted)
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def close(self) -> None:
        """End the session, and say what went wrong in it."""
        self.context.close()
        assert not self.wrong, "\n".join(self.wrong)

    def last_seen(self) -> str:
        """Address and words of the page, for whoever wonders why a journey ended there."""
        return f"{self.page.url}\n{self.page.locator('main').inner_text()}"

    def open(self, path: str, status: int = 200) -> None:
        """Type an address; it must be answered so."""
        if status >= 400:
            self.mean(path, status)
        answer = self.page.goto(path)
        assert answer is not None and answer.status == status, f"{path}: {answer and answer.status}"

    def mean(self, path: str, status: int) -> None:
        """That this address answers so is no mistake."""
        self._meant.add((urlsplit(path).path, status))

    def sign_in(self, name: str, password: str) -> None:
        """At the console. Where that leads is not looked at: an empty installation may have plans of its own."""
        self.open("/console/sign-in/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/sign-in/" not in url)

    def sign_up(self, email: str) -> None:
        """At the portal, with the code that comes by e-mail; the page in between is the portal's own."""
        self.open("/portal/sign-in/")
        self.enter(email)
        self.page.get_by_label(f"Account of {email}").wait_for()

    def enter(self, email: str) -> None:
        """From the form that asks for an address on."""
        before = len(self.stage.codes(email))
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_role("button", name="Send me a code").click()
        self.page.get_by_label("Code").fill(self.stage.code(email, before))
        self.page.get_by_role("main").get_by_role("button", name="Sign in").click()

    def fill(self, label: str, value: str) -> None:
        """A field of the page's main part."""
        self.page.get_by_role("main").get_by_label(label, exact=True).first.fill(value)

    def choose(self, label: str, option: str) -> None:
        """An option of a select in the page's main part, by its words."""
        self.page.get_by_role("main").get_by_label(label, exact=True).first.select_option(label=option)

    def save(self, path: str, **fields: str) -> None:
        """Fill in the form at that address and save it; names with `_` for spaces, beginning in capitals."""
        self.open(path)
        for name, value in fields.items():
            self.fill(name.replace("_", " ").capitalize(), value)
        self.press("Save")

    def heading(self, text: str) -> None:
        """Wait for the page of that title."""
        self.page.get_by_role("heading", level=1, name=text, exact=True).wait_for()

    def press(self, button: str) -> None:
        """A button of the page's main part."""
        self.page.get_by_role("main").get_by_role("button", name=button).click()

    def follow(self, link: str) -> None:
        """A link of the page's main part."""
        self.page.get_by_role("main").get_by_role("link", name=link, exact=True).click()

    def says(self, text: str) -> None:
        """Wait until that text is to be seen in the page's main part."""
        self.page.get_by_role("main").get_by_text(text).first.wait_for()

    def secret(self) -> str:
        """What the page shows once."""
        return str(self.page.locator("code.secret").inner_text())

    def publish(self, note: str) -> int:
        """Look at the changes and publish them; the number of the Revision, once the node runs it."""
        self.open("/console/publish/")
        self.page.get_by_label("Note").fill(note)
        self.press("Publish")
        return self.live()

    def live(self) -> int:
        """On a Revision's page: its number, once the node runs it."""
        title = self.page.get_by_role("heading", level=1, name="Revision")
        title.wait_for()
        number = int(title.inner_text().split()[-1])
        self.says(f"runs revision {number}")
        return number

    def _noted(self, line: Any) -> None:
        where = urlsplit(line.location.get("url", "")).path
        if line.type != "error" or any(path == where for path, _ in self._meant):
            return
        self.wrong.append(f"{self.page.url}: {line.text} ({where})")

    def _failed(self, request: Any) -> None:
        # A page that is left cancels what it was still loading.
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(f"{request.method} {request.url}: {request.failure}")

    def _answered(self, response: Any) -> None:
        path = urlsplit(response.url).path
        if response.status >= 400 and (path, response.status) not in self._meant:
            self.wrong.append(f"{response.request.method} {response.url}: {response.status}")
