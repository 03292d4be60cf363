"""A real browser that visits pages and notes what is wrong: axe's findings, overflow, errors, broken policy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

AXE = Path(__file__).with_name("axe.min.js")
"""https://github.com/dequelabs/axe-core; only tests use it, it is not part of the product."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BAD = ("serious", "critical")


class Look(NamedTuple):
    """How a page is shown."""

    theme: str
    width: int


LOOKS = (Look("dark", 360), Look("light", 1440), Look("dark", 1440), Look("light", 360))
OPPOSITE = LOOKS if os.environ.get("TIDEGATE_ALL_LOOKS") else LOOKS[:2]
"""Both themes and both widths at half the price: for pages whose frame is looked at in all four elsewhere."""
HEIGHT = 900
_OPTIONS = {
    "resultTypes": ["violations"],
    "preload": {"assets": ["media"]},
    "rules": {"target-size": {"enabled": True}},
}
"""The size of targets is a rule of WCAG 2.2 that axe leaves out unless asked. Style sheets, which no rule that is on
reads, are not fetched once more."""
FRAME = ("aside.navbar", "header.topbar")
"""Side bar and top bar, which all pages of a kind have around them."""
_RUN = """async ([context, options]) => (await axe.run(context, options)).violations.map((one) => ({
  impact: one.impact, rule: one.id,
  nodes: one.nodes.map((node) => `${node.html.slice(0, 160)} (${node.failureSummary.replace(/\\s+/g, " ")})`),
}))"""
_PAINTED = """(theme) => new Promise((done) => {
  document.documentElement.dataset.bsTheme = theme;
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));
})"""
_LOADING = ".htmx-request, .htmx-swapping, .htmx-settling"
_WIDER = """() => Array.from(document.querySelectorAll("body *"))
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
  .slice(0, 3).map((one) => one.outerHTML.slice(0, 120))"""


class Visitor:
    """One signed-in browser. What it found wrong is in `found`, a line each."""

    def __init__(self, page: Any, base: str) -> None:
        self.page, self.base = page, base
        self.found: list[str] = []
        self.where = ""
        self.refused = False
        page.on("pageerror", lambda error: self._note(f"error in a script: {error}"))
        page.on("console", self._read_console)

    def become(self, cookies: Mapping[str, str]) -> None:
        """Sign in as somebody else."""
        self.page.context.clear_cookies()
        self.page.context.add_cookies(
            [{"name": name, "value": value, "url": self.base} for name, value in cookies.items()]
        )

    def go(self, path: str, name: str = "", status: int = 200) -> None:
        """Open a page; an answer with another status is a finding."""
        self.where, self.refused = name or path, status >= 400
        answer = self.page.goto(self.base + path)
        if answer.status != status:
            self._note(f"answered {answer.status}")
        self.settle()

    def settle(self) -> None:
        """Wait for what htmx is loading."""
        from playwright.sync_api import expect

        expect(self.page.locator(_LOADING)).to_have_count(0)

    def look(self, name: str = "", looks: Sequence[Look] = OPPOSITE, frame: bool = True) -> None:
        """axe, and whether everything fits; without the `frame` if it was looked at before, around another page."""
        self.where = name or self.where
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        for look in looks:
            self.show_as(look)
            self._measure(look)
            self._run_axe(look, () if frame else FRAME)

    def show_as(self, look: Look) -> None:
        """Theme and width, without loading again."""
        self.page.set_viewport_size({"width": look.width, "height": HEIGHT})
        self.page.emulate_media(color_scheme=look.theme, reduced_motion="reduce")
        self.page.evaluate(_PAINTED, look.theme)

    def _measure(self, look: Look) -> None:
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        if wide > look.width:
            self._note(f"{look.width} px: {wide} px wide because of {self.page.evaluate(_WIDER)}")

    def _run_axe(self, look: Look, apart_from: Sequence[str]) -> None:
        context = {"include": ["html"], "exclude": [[one] for one in apart_from]}
        for one in self.page.evaluate(_RUN, [context, _OPTIONS]):
            if one["impact"] in BAD:
                first, more = one["nodes"][0], len(one["nodes"]) - 1
                self._note(
                    f"{look.theme} {look.width} px: {one['impact']} {one['rule']}: {first} and {more} more"
                )

    def _read_console(self, line: Any) -> None:
        """The live views' socket is missing here: the tests' server is none for ASGI. Journeys have it."""
        told = self.refused and "Failed to load resource" in line.text
        if line.type == "error" and not told and not line.text.startswith("WebSocket connection"):
            self._note(f"on the browser's console: {line.text}")

    def _note(self, text: str) -> None:
        self.found.append(f"{self.where}: {text}")


@contextmanager
def visitor(base: str, cookies: Mapping[str, str] | None = None) -> Iterator[Visitor]:
    """A browser of its own, with the cookies of somebody who is signed in. Touch no database inside: Playwright
    runs a loop in this thread, and Django refuses to wait in one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(reduced_motion="reduce", color_scheme="dark")
        context.set_default_timeout(10_000)
        visiting = Visitor(context.new_page(), base)
        visiting.become(cookies or {})
        yield visiting
        browser.close()


def cookies_of(client: Any) -> dict[str, str]:
    """Of a test client, to go on in a browser."""
    return {name: morsel.value for name, morsel in client.cookies.items()}
