"""Fixtures of the journeys: a stage, a browser, and windows that assert in the end that nothing went wrong."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.stage import Stage, staged
from tests.journeys.window import Window

MARKET = """
format: 1
upstreams:
  - {name: service, targets: [{host: 127.0.0.1, port: UPSTREAM}]}
plans:
  - name: free
    title: Free
    apis: [shop]
    policies: [{name: rate-limit, config: {limits: [{amount: 3, period: day}]}}]
  - {name: gold, title: Gold, approval: manual, apis: [shop]}
  - {name: steady, title: Steady, apis: [shop]}
apis:
  - slug: shop
    title: Shop
    description: Things to buy.
    base_path: /shop
    visibility: public
    policies:
      - {name: cors}
      - {name: key-auth}
      - {name: acl, config: {subscription: true}}
    routes:
      - {name: shop, upstream: service}
  - slug: open
    title: Open
    base_path: /open
    routes:
      - {name: open, upstream: service}
"""
"""What there is on the shared stage: an Api that asks for an approved Subscription, and one open to all."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Its path; without it, or without Playwright, there are no journeys."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    return CHROMIUM


class House:
    """The one product that the journeys of a run share, from the first of them to the last."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._stage: Stage | None = None
        self._market = False

    def empty(self, folder: Path) -> Stage:
        """As nobody has used it yet."""
        if self._market:
            self.close()
        if self._stage is None:
            self._stage = self._open.enter_context(staged(folder))
        return self._stage

    def market(self, folder: Path) -> Stage:
        """With `MARKET` in it, and what earlier journeys left under names of their own."""
        if self._stage is None or not self._market:
            stage, self._market = self.empty(folder), True
            stage.publish(MARKET)
            stage.answers(200, "/open/")
        assert self._stage is not None
        return self._stage

    def close(self) -> None:
        """Stop it."""
        self._stage, self._market = None, False
        self._open.close()


HOUSE = House()


def pytest_itemcollected(item: pytest.Item) -> None:
    """The first one starts the product, which takes a while on a busy machine. All are run by one process, so that
    it is started once."""
    item.add_marker(pytest.mark.timeout(300))
    item.add_marker(pytest.mark.xdist_group("journeys"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    """Other tests do not have it run beside them. The windows are closed first."""
    try:
        yield
    finally:
        if nextitem is None or nextitem.path.parent != Path(__file__).parent:
            HOUSE.close()


@pytest.fixture(scope="session")
def house(chromium: str) -> Iterator[House]:
    """Closed in the end, even if the run is broken off."""
    yield HOUSE
    HOUSE.close()


@pytest.fixture
def empty(house: House, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The product on an empty installation."""
    return house.empty(tmp_path_factory.mktemp("stage"))


@pytest.fixture
def stage(house: House, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The product with something to sell."""
    return house.market(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """Chromium. It ends with the module: while Playwright runs, nothing else can use asyncio in this thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def window(browser: Any) -> Iterator[Callable[[Stage], Window]]:
    """`window(stage)` is another person's window; see `Window.close` for what is asserted in the end."""
    windows: list[Window] = []

    def another(stage: Stage) -> Window:
        windows.append(Window(browser, stage))
        return windows[-1]

    yield another
    for one in windows:
        print(one.last_seen())  # pytest shows it if the test failed
    for one in windows:
        one.close()
