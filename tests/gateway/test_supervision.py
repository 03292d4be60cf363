"""The whole product under its supervisor: real workers, real database, real deaths."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.processes import (
    DATABASE,
    Product,
    ended,
    free_ports,
    free_range,
    run_manage,
    running,
    wait_until,
)

HELLO = """
format: 1
apis:
  - slug: hello
    base_path: /hello
    routes:
      - name: hello
        policies:
          - {name: request-termination, config: {status: 200, body: "hello", content_type: text/plain}}
        redirect: {status: 302, path: /}
"""
TAIL = ("traffic", "tail", "--no-follow", "--json")
SLOW = """
format: 1
upstreams:
  - {{name: slow, targets: [{{host: 127.0.0.1, port: {port}}}]}}
apis:
  - slug: slow
    base_path: /slow
    routes:
      - {{name: slow, upstream: slow}}
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One product with two workers for the tests that leave it whole."""
    with running(tmp_path_factory.mktemp("product"), configuration=HELLO) as product:
        product.wait_ready()
        yield product


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Products that are prepared but not started; ended after the test."""
    made: list[Product] = []

    def begin(**options: object) -> Product:
        made.append(Product(tmp_path, **options))  # type: ignore[arg-type]
        made[-1].prepare()
        return made[-1]

    yield begin
    for product in made:
        if product.alive:
            product.stop()


def test_it_says_what_is_where(product: Product) -> None:
    assert product.said(f"gateway   {product.url}  (2 workers)")
    assert product.said(f"status    http://127.0.0.1:{product.status_port}/healthz")
    assert product.said(f"data      {product.data}")
    assert product.get("/hello").text == "hello"


def test_a_killed_worker_is_replaced(product: Product) -> None:
    """How soon says `make bench`: here other tests have the processors too."""
    before = product.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: replaced(product, before[0]), 10, product.log)
    assert product.worker_pids()[1] == before[1]


def replaced(product: Product, gone: int) -> bool:
    """Whether two workers are ready, and `gone` is none of them."""
    workers = product.status()["workers"]
    ready = [worker["pid"] for worker in workers if worker["state"] == "ready"]
    return len(ready) == 2 and gone not in ready


def test_a_roll_refuses_and_resets_nothing(product: Product) -> None:
    before = product.worker_pids()
    errors: list[str] = []
    count = [0]
    over = threading.Event()

    def new_connections() -> None:
        while not over.is_set():
            try:
                assert product.get("/hello").status_code == 200
                count[0] += 1
            except (httpx.HTTPError, AssertionError) as error:
                errors.append(repr(error))

    clients = [threading.Thread(target=new_connections) for _ in range(4)]
    for client in clients:
        client.start()
    rolls = sum("Rolled 2 of 2 workers" in line for line in product.lines)
    product.signal(signal.SIGHUP)
    try:
        wait_until(
            lambda: sum("Rolled 2 of 2 workers" in line for line in product.lines) > rolls, 30, product.log
        )
        wait_until(lambda: all(ended(pid) for pid in before), 10, product.log)
        wait_until(lambda: count[0] > 20, 10, product.log)
    finally:
        over.set()
        for client in clients:
            client.join(10)
    assert errors == []
    assert not set(before) & set(product.worker_pids())
    product.wait_ready()


def test_the_status_port(product: Product) -> None:
    assert product.ask_status("/livez")[0] == 200
    code, body = product.ask_status("/metrics")
    assert code == 200
    assert b"tidegate_worker_ready" in body
    document = product.status()
    assert document["ready"], document
    assert document["database"]["connected"]
    assert document["database"]["staleness"] < 5


def test_a_publish_reaches_every_worker(product: Product) -> None:
    product.apply(HELLO.replace('body: "hello"', 'body: "changed"'))
    answers = {product.get("/hello").text for _ in range(20)}
    product.apply(HELLO)
    assert answers == {"changed"}


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_on_a_socket_for_both_an_ipv4_client_has_its_own_address(make: Callable[..., Product]) -> None:
    started = make(workers=1, TIDEGATE_HOST="::")
    started.apply(
        HELLO.replace(
            "name: request-termination,",
            """name: request-termination,
             when: 'client_ip == "127.0.0.1"',""",
        )
    )
    started.start()
    assert started.get("/hello").text == "hello"
    [record] = [json.loads(line) for line in started.manage(*TAIL).splitlines()]
    assert record["client_ip"] == "127.0.0.1"


def test_a_second_supervisor_is_refused(product: Product) -> None:
    other = Product(product.data.parent, workers=1).start(wait=False)
    assert other.wait() == 1
    assert other.said(f"tidegate: Tidegate already runs in {product.node} (process {product.pid}).")


@pytest.mark.parametrize("setting", ["GATEWAY", "CONSOLE", "STATUS"])
def test_a_port_in_use_is_one_clear_line(make: Callable[..., Product], setting: str) -> None:
    product = make(arguments=("--workers", "1"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        product.environment[f"TIDEGATE_{setting}_PORT"] = str(port)
        assert product.start(wait=False).wait() == 1
    assert product.lines == [
        f"tidegate: Port {port} on 127.0.0.1 is in use. "
        f"Stop what listens there, or set TIDEGATE_{setting}_PORT to another port."
    ]


def test_missing_migrations_are_one_clear_line(tmp_path: Path) -> None:
    product = Product(tmp_path, workers=1)
    assert product.start(wait=False).wait() == 1
    assert "The database lacks" in product.lines[-1]
    assert product.lines[-1].endswith("Run: python manage.py migrate")


def test_an_unreachable_database_is_one_clear_line(tmp_path: Path) -> None:
    [port] = free_ports(1)
    product = Product(tmp_path, workers=1, DATABASE_URL=f"postgres://u:secret@127.0.0.1:{port}/shop")
    assert product.start(wait=False).wait() == 1
    assert product.lines[-1].startswith(f"tidegate: The database shop on 127.0.0.1:{port} cannot be used: ")
    assert not product.said("secret")


def test_a_node_starts_and_serves_with_the_database_gone(make: Callable[..., Product]) -> None:
    product = make(workers=1)
    product.apply(HELLO)
    product.start()
    product.wait_ready()
    assert product.stop() == 0
    [port] = free_ports(1)
    product.environment["DATABASE_URL"] = f"postgres://u@127.0.0.1:{port}/gone"
    product.start()
    assert product.get("/hello").text == "hello"
    document = product.status()
    assert document["ready"]
    assert not document["database"]["connected"]
    assert product.stop() == 0


def test_a_database_that_goes_and_comes_back_is_noticed(make: Callable[..., Product]) -> None:
    product = make(workers=1)
    product.apply(HELLO)
    product.start()
    product.wait_ready()
    with contextlib.closing(sqlite3.connect(product.data / DATABASE, isolation_level=None)) as database:
        database.execute("ALTER TABLE proxy_revision RENAME TO mislaid")
        wait_until(lambda: not product.status()["database"]["connected"], 10, product.log)
        assert product.get("/hello").text == "hello"
        document = product.status()
        assert document["ready"]
        assert "no such table" in document["database"]["problem"]
        database.execute("ALTER TABLE mislaid RENAME TO proxy_revision")
        wait_until(lambda: product.status()["database"]["connected"], 15, product.log)
    assert sum("The database cannot be used" in line for line in product.lines) == 1
    assert product.said("The database is back after")


def test_a_second_start_keeps_everything_and_is_quick(make: Callable[..., Product]) -> None:
    product = make(workers=2)
    product.apply(HELLO)
    product.start()
    product.wait_ready()
    assert product.stop() == 0
    started = time.monotonic()
    product.start()
    product.wait_ready()
    assert time.monotonic() - started < 10
    assert product.get("/hello").text == "hello"


def test_sigterm_drains_what_is_under_way_and_ends_with_zero(make: Callable[..., Product]) -> None:
    product = make(workers=2)
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        product.apply(SLOW.format(port=upstream.getsockname()[1]))
        product.start()
        product.wait_ready()
        pids = product.worker_pids()
        answers: list[httpx.Response] = []
        client = threading.Thread(target=lambda: answers.append(product.get("/slow")))
        client.start()
        connection, _ = upstream.accept()
        with connection:
            connection.recv(10_000)
            product.signal(signal.SIGTERM)
            wait_until(lambda: product.ask_status("/readyz")[0] == 503, 2, product.log)
            assert product.ask_status("/livez")[0] == 200
            with pytest.raises(httpx.ConnectError):
                wait_until(lambda: product.get("/slow", timeout=0.2) and False, 2)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
            client.join(10)
    assert [answer.text for answer in answers] == ["slow"]
    assert product.wait() == 0
    assert all(ended(pid) for pid in pids)
    assert not product.said("Traceback"), product.log()


def test_load_balancers_have_the_delay_to_see_that_it_stops(make: Callable[..., Product]) -> None:
    product = make(workers=1, TIDEGATE_DRAIN_DELAY="600")
    product.apply(HELLO)
    product.start()
    product.wait_ready()
    product.signal(signal.SIGTERM)
    wait_until(lambda: product.ask_status("/readyz")[0] == 503, 5, product.log)
    assert product.status()["reason"] == "the node is draining"
    assert product.get("/hello").text == "hello"
    product.signal(signal.SIGTERM)
    assert product.wait() == 0
    assert product.said("the drain begins now")
    with pytest.raises(httpx.ConnectError):
        product.get("/hello")


def test_nothing_outlives_a_killed_supervisor(make: Callable[..., Product]) -> None:
    product = make(workers=2)
    product.start()
    pids = product.worker_pids()
    product.signal(signal.SIGKILL)
    wait_until(lambda: all(ended(pid) for pid in pids), 3)
    product.wait()


def test_the_demo_shop(make: Callable[..., Product]) -> None:
    product = make(workers=1, TIDEGATE_DEMO="1", TIDEGATE_DEMO_PORT=str(free_range(6)))
    product.start()
    product.wait_ready()
    wait_until(lambda: product.said("try       curl "), 5, product.log)
    key = (product.data / "demo.key").read_text().strip()
    assert product.said(f"curl -H 'X-API-Key: {key}' {product.url}/shop/products/items")
    wait_until(lambda: product.get("/shop/products/items", headers={"x-api-key": key}).status_code == 200, 10)
    answer = product.get("/shop/products/items", headers={"x-api-key": key})
    assert answer.json()["items"][0]["name"] == "Storm lantern"
    assert answer.headers["ratelimit-limit"]
    assert product.get("/shop/products/items").status_code == 401
    assert product.get("/shop/reviews/items/1", headers={"x-api-key": key}).json()["stars"] == 5
    assert product.stop() == 0

    # A second start changes nothing of what somebody has made of it.
    run_manage(product.environment, "config", "apply", "-", "--publish", text=HELLO)
    product.start()
    product.wait_ready()
    assert product.get("/hello").text == "hello"
    assert product.get("/shop/products/items", headers={"x-api-key": key}).status_code == 404
    assert not product.said("Traceback")
