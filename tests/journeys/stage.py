"""Where the journeys take place: the whole product as a process of its own, and a service behind it.

Nothing here reaches into the product: what a journey knows it has from pages, answers and what was printed.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.gateway.processes import Product, wait_until
from tests.upstreams import Service

PATIENCE = 45.0
"""Seconds that something may take which takes one or two on a machine at rest."""


class Stage:
    """A running product with console, portal and tasks, and the service that its Upstreams lead to."""

    def __init__(self, product: Product, upstream: Service) -> None:
        self.product = product
        self.upstream = upstream
        # A connection for each call, as from many callers; the client saves setting up TLS each time.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._caller = httpx.Client(base_url=product.url, trust_env=False, timeout=PATIENCE, limits=limits)

    def close(self) -> None:
        """Call no more."""
        self._caller.close()

    @property
    def site(self) -> str:
        """The origin of console and portal."""
        return f"http://127.0.0.1:{self.product.console_port}"

    @property
    def password(self) -> str:
        """Of `admin`, as the first start printed it."""
        found = re.search(r"sign in +as admin with the password (\S+)", self.product.log())
        assert found is not None, self.product.log()
        return found[1]

    def publish(self, yaml: str) -> None:
        """Make the draft equal to it and publish it; `UPSTREAM` in it stands for the service's port."""
        text = yaml.replace("UPSTREAM", str(self.upstream.port))
        self.product.manage("config", "apply", "-", "--publish", text=text)

    def call(self, path: str, key: str = "") -> httpx.Response:
        """GET through the gateway, on a connection of its own."""
        return self._caller.get(path, headers={"x-api-key": key} if key else {})

    def answers(self, status: int, path: str, key: str = "", seconds: float = PATIENCE) -> float:
        """Wait until calls are answered so; how long that took, in seconds."""
        return wait_until(lambda: self.call(path, key).status_code == status, seconds, f"{status} at {path}")

    def code(self, email: str, before: int = 0) -> str:
        """The code of the newest e-mail to that address, which the console's process prints.

        `before` is how many codes were printed when it was asked for.
        """
        wait_until(lambda: len(self.codes(email)) > before, PATIENCE, self.product.log)
        return self.codes(email)[-1]

    def codes(self, email: str) -> list[str]:
        """The codes that were sent to an address so far."""
        mails = re.split(r"^\[console\] Content-Type: ", self.product.log(), flags=re.MULTILINE)
        mine = [mail for mail in mails if f"To: {email}\n" in mail]
        return [found[1] for mail in mine if (found := re.search(r"Your code is (\d{4} \d{4})", mail))]


class Flow:
    """Somebody who calls without pause, in a thread; `statuses` are the answers so far."""

    def __init__(self, stage: Stage, path: str, key: str) -> None:
        self.statuses: list[int] = []
        self._client = httpx.Client(
            base_url=stage.product.url, headers={"x-api-key": key}, trust_env=False, timeout=PATIENCE
        )
        self._path = path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Flow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)
        self._client.close()

    def go_on(self, calls: int = 20) -> None:
        """Until that many more calls are answered."""
        wanted = len(self.statuses) + calls
        wait_until(lambda: len(self.statuses) >= wanted, PATIENCE, f"{calls} more calls")

    def _run(self) -> None:
        while not self._over.wait(0.01):
            try:
                self.statuses.append(self._client.get(self._path).status_code)
            except httpx.HTTPError:
                self.statuses.append(0)


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """An installation that nobody has used, without demo and with nothing published; stopped in the end."""
    with Service() as upstream:
        product = Product(folder, workers=1, arguments=("--migrate",), NODE_NAME="stage")
        try:
            # A first start as everybody's: it makes the database and the administrator by itself.
            product.start(wait=False)
            wait_until(lambda: not product.alive or product.said("sign in "), 120, product.log)
            assert product.alive, product.log()
            page = f"http://127.0.0.1:{product.console_port}/portal/"
            assert httpx.get(page, trust_env=False, timeout=PATIENCE).status_code == 200, (
                "it said it was ready"
            )
            with contextlib.closing(Stage(product, upstream)) as stage:
                yield stage
        finally:
            product.stop()
