"""Several nodes on one database, and one node after its database was restored from a backup."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway.processes import DATABASE, Product, wait_until
from tests.proxy.telemetry.test_prometheus import strictly

PEPPER = "ab" * 32
SHOP = """
format: 1
apis:
  - slug: hello
    base_path: /hello
    routes:
      - name: hello
        policies:
          - {{name: key-auth}}
          - {{name: transform-response, config: {{add_headers: {{x-edition: "{edition}"}}}}}}
        redirect: {{status: 302, path: /}}
developers:
  - {{email: ann@example.com}}
apps:
  - {{name: shop, developer: ann@example.com}}
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Products on one database, each with a folder of its own; ended after the test."""
    made: list[Product] = []

    def begin(name: str, **options: object) -> Product:
        product = Product(tmp_path / name, workers=1, NODE_NAME=name, **options)  # type: ignore[arg-type]
        product.environment["TIDEGATE_KEY_PEPPER"] = PEPPER
        if made:
            # SQLite follows links, so that all nodes have the files of the first one's database.
            (product.data / DATABASE).symlink_to(made[0].data / DATABASE)
        else:
            product.prepare()
        made.append(product)
        return product

    yield begin
    for product in made:
        if product.alive:
            product.stop()


def ingested(product: Product) -> int:
    """Traffic records that are in the database."""
    with contextlib.closing(sqlite3.connect(product.data / DATABASE)) as database:
        row = database.execute("SELECT records FROM analytics_ingesttotals").fetchone()
        return int(row[0]) if row else 0


def call(product: Product, key: str) -> int:
    """The status of one call with a key."""
    return product.get("/hello", headers={"x-api-key": key}).status_code


def back_up(product: Product, target: Path) -> None:
    """As docs/operations.md says it."""
    with contextlib.closing(sqlite3.connect(product.data / DATABASE)) as database:
        database.execute("VACUUM INTO ?", (str(target),))


def restore(product: Product, backup: Path) -> None:
    """As docs/operations.md says it."""
    for end in ("", "-wal", "-shm"):
        (product.data / (DATABASE + end)).unlink(missing_ok=True)
    shutil.copy(backup, product.data / DATABASE)


def test_every_node_counts_its_own_traffic_with_and_without_a_console(make: Callable[..., Product]) -> None:
    first = make("first", arguments=("--workers", "1"))
    first.apply(SHOP.format(edition=1))
    key = first.issue_key("shop")
    second = make("second", TIDEGATE_TASKS="on")
    for product, calls in ((first, 3), (second, 4)):
        product.start()
        product.wait_ready()
        for _ in range(calls):
            assert call(product, key) == 302
    wait_until(lambda: ingested(first) == 7, 60, lambda: first.log() + second.log())
    assert strictly(first.ask_status("/metrics")[1].decode())["tidegate_requests_total"] >= 1
    # Not more, either, once the segments are sealed and read to their ends.
    for product in (first, second):
        assert product.stop(60) == 0
    first.manage("ingest")
    second.manage("ingest")
    assert ingested(first) == 7


def test_without_tasks_the_records_wait(make: Callable[..., Product]) -> None:
    product = make("only", TIDEGATE_TASKS="off")
    product.apply(SHOP.format(edition=1))
    product.start()
    product.wait_ready()
    assert product.get("/hello").status_code == 401
    assert product.stop() == 0
    assert ingested(product) == 0
    product.manage("ingest")
    assert ingested(product) == 1


def test_a_node_follows_a_database_that_was_restored(make: Callable[..., Product], tmp_path: Path) -> None:
    product = make("only")
    product.apply(SHOP.format(edition=1))
    kept = product.issue_key("shop")
    back_up(product, tmp_path / "backup")
    product.apply(SHOP.format(edition=2))
    later = product.issue_key("shop")
    product.manage("key", "revoke", kept)
    product.start()
    product.wait_ready()
    assert (call(product, kept), call(product, later)) == (401, 302)
    assert product.get("/hello").headers["x-edition"] == "2"
    assert product.stop() == 0

    restore(product, tmp_path / "backup")
    product.manage("migrate", "--verbosity", "0")
    product.manage("key", "resync")
    product.start()
    product.wait_ready()
    wait_until(lambda: (call(product, kept), call(product, later)) == (302, 401), 10, product.log)
    assert product.get("/hello").headers["x-edition"] == "1"
    assert product.status()["revision"] == 1
    assert [path.stem for path in (product.node / "snapshots").glob("*.snap")] == ["1"]


def test_a_restored_database_that_has_moved_on_needs_the_resync(
    make: Callable[..., Product], tmp_path: Path
) -> None:
    product = make("only")
    product.apply(SHOP.format(edition=1))
    back_up(product, tmp_path / "backup")
    lost = product.issue_key("shop")
    product.start()
    product.wait_ready()
    assert call(product, lost) == 302
    assert product.stop() == 0
    restore(product, tmp_path / "backup")
    # As many changes as the node has seen of the other history: it cannot tell them apart by their number.
    fresh = product.issue_key("shop")
    product.start()
    product.wait_ready()
    product.manage("key", "resync")
    wait_until(lambda: (call(product, lost), call(product, fresh)) == (401, 302), 10, product.log)


def test_a_new_machine_needs_the_pepper_and_says_so(make: Callable[..., Product], tmp_path: Path) -> None:
    old = make("old")
    del old.environment["TIDEGATE_KEY_PEPPER"]
    old.apply(SHOP.format(edition=1))
    key = old.issue_key("shop")
    back_up(old, tmp_path / "backup")

    new = Product(tmp_path / "new", workers=1)
    shutil.copy(tmp_path / "backup", new.data / DATABASE)
    new.start(wait=False)
    wait_until(lambda: new.said("this node has another pepper than the keys"), 30, new.log)
    assert new.ask_status("/readyz")[0] == 503
    assert new.stop() == 0
    shutil.copy(old.node / "pepper", new.node / "pepper")
    assert os.stat(new.node / "pepper").st_mode & 0o777 == 0o600
    new.start()
    new.wait_ready()
    assert call(new, key) == 302
    assert new.stop() == 0
