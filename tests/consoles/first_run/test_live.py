"""The first steps and demo traffic on a real gateway with its real console: what a browser would send."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.gateway.processes import Product, free_ports, free_range, wait_until

START = "/console/first-run/"
DEMO = "/console/demo-traffic/"


class Browser:
    """Signed in at the console of a product; sends forms with their tokens."""

    def __init__(self, product: Product, password: str) -> None:
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{product.console_port}",
            trust_env=False,
            follow_redirects=True,
            timeout=20,
        )
        self.landed = self.post("/console/sign-in/", username="admin", password=password).url.path

    def get(self, path: str) -> str:
        """A page."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def part(self, path: str, name: str) -> str:
        """What htmx asks for."""
        return self.client.get(path, headers={"HX-Request": "true", "HX-Target": name}).text

    def post(self, path: str, **fields: str) -> httpx.Response:
        """A form."""
        if "csrftoken" not in self.client.cookies:
            self.client.get(path)
        token = self.client.cookies["csrftoken"]
        answer = self.client.post(path, data={**fields, "csrfmiddlewaretoken": token})
        assert answer.status_code == 200, answer.text
        return answer

    def green_within(self, path: str, text: str, seconds: float = 5.0) -> float:
        """Ask as the page does, until it says that; how long it took."""
        return wait_until(lambda: text in self.part(path, "watch"), seconds, lambda: self.part(path, "watch"))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """With console and demo, made as `make run` makes it."""
    folder = tmp_path_factory.mktemp("first-run")
    product = Product(
        folder,
        workers=2,
        arguments=("--migrate",),
        TIDEGATE_DEMO="1",
        TIDEGATE_DEMO_PORT=str(free_range(6)),
    )
    product.prepare()
    product.start()
    try:
        wait_until(lambda: product.said("sign in   as admin"), 20, product.log)
        product.wait_ready(20)
        yield product
    finally:
        product.stop()


@pytest.fixture(scope="module")
def browser(product: Product) -> Iterator[Browser]:
    """The administrator's."""
    found = re.search(r"with the password (\S+)", product.log())
    assert found is not None
    port = product.console_port
    wait_until(lambda: _answers(port), 30, product.log)
    browser = Browser(product, found[1])
    yield browser
    browser.client.close()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/console/sign-in/", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def value_of(html: str, name: str) -> str:
    """What a field of the page's form is filled in with."""
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', html) or re.search(
        rf'value="([^"]*)"[^>]*name="{name}"', html
    )
    assert found is not None, name
    return unescape(found[1])


def wait_live(product: Product, path: str, status: int, **options: dict[str, str]) -> None:
    """Until the gateway answers so."""
    wait_until(lambda: product.get(path, **options).status_code == status, 10, product.log)


def test_from_nothing_to_a_call_with_a_key(product: Product, browser: Browser) -> None:
    assert browser.landed == START
    html = browser.get(START)
    fields = {name: value_of(html, name) for name in ("name", "base_path", "backend")}
    added = browser.post(START, **fields)
    call = added.url.path
    assert call.endswith("/call/")
    wait_live(product, "/first/items", 200)
    assert f"curl -i {product.url}/first/items" in added.text
    assert browser.green_within(call, "The call arrived") < 2.0

    protect = call.replace("/call/", "/protect/")
    answer = browser.post(protect, app="first-app")
    key = re.search(r"tg_\w+", answer.text)
    assert key is not None
    wait_live(product, "/first/items", 401)
    assert browser.green_within(protect, "refused with 401") < 2.0
    assert product.get("/first/items", headers={"x-api-key": key[0]}).status_code == 200
    assert browser.green_within(protect, "A call with the key of first-app arrived") < 2.0


def test_a_backend_that_is_not_there_is_named(product: Product, browser: Browser) -> None:
    [nothing] = free_ports(1)
    added = browser.post(START, name="Gone", base_path="/gone", backend=f"http://127.0.0.1:{nothing}")
    wait_live(product, "/gone", 502)
    assert browser.green_within(added.url.path, "Nothing listens at the backend") < 2.0


def test_demo_traffic_runs_once_at_a_time_and_stops(product: Product, browser: Browser) -> None:
    assert "Nothing has been sent" in browser.get(DEMO)
    browser.post(DEMO, do="start")
    wait_until(lambda: "<dt>200</dt>" in browser.part(DEMO, "demo-run"), 10, product.log)
    assert "There is a run already" in browser.post(DEMO, do="start").text
    wait_until(lambda: "<dt>404</dt>" in browser.part(DEMO, "demo-run"), 30, product.log)
    browser.post(DEMO, do="stop")
    wait_until(lambda: "it was stopped" in browser.part(DEMO, "demo-run"), 10, product.log)
    sent = re.search(r"([0-9,]+)</span> of <span", browser.get(DEMO))
    assert sent is not None
    before = int(sent[1].replace(",", ""))
    assert 0 < before < 1200
    time.sleep(0.5)
    again = re.search(r"([0-9,]+)</span> of <span", browser.get(DEMO))
    assert again is not None and again[1] == sent[1]
    log = product.manage("traffic", "tail", "-n", "200", "--no-follow")
    assert "/shop/" in log and "/products" in log
