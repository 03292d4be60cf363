"""After a load with refused, failed and cancelled calls everybody has counted the same: the clients, the traffic
log, the rollups, the overview, the Admin API and Prometheus. Two workers, all of it running.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.telemetry.record import STATES
from tests.gateway.processes import DATABASE, Product, free_ports, running, wait_until
from tests.upstreams import Call, Service, answer, cut, hang, stream

CONFIGURATION = """
format: 1
gateway: {{limits: {{body_bytes: 4096}}}}
upstreams:
  - {{name: shop, targets: [{{host: 127.0.0.1, port: {port}}}], retries: 0}}
  - {{name: quick, targets: [{{host: 127.0.0.1, port: {port}}}], retries: 0, first_byte_timeout: 0.3}}
  - {{name: gone, targets: [{{host: 127.0.0.1, port: {dead}}}], retries: 1, connect_timeout: 1}}
  - {{name: narrow, targets: [{{host: 127.0.0.1, port: {port}}}], max_connections: 1, max_pending: 1}}
apis:
  - slug: shop
    base_path: /shop
    policies:
      - {{name: key-auth}}
    routes:
      - {{name: items, path: {{kind: prefix, value: /items}}, upstream: shop}}
      - name: limited
        path: {{kind: prefix, value: /limited}}
        upstream: shop
        policies:
          - {{name: rate-limit, config: {{limits: [{{amount: 37, period: day}}]}}}}
      - {{name: gone, path: {{kind: prefix, value: /gone}}, upstream: gone}}
  - slug: open
    base_path: /open
    routes:
      - {{name: open, upstream: shop, methods: [GET, HEAD, POST]}}
      - {{name: quick, path: {{kind: prefix, value: /quick}}, upstream: quick}}
      - {{name: narrow, path: {{kind: prefix, value: /narrow}}, upstream: narrow}}
developers: [{{email: dana@example.com}}]
apps: [{{name: checkout, developer: dana@example.com}}, {{name: kiosk, developer: dana@example.com}}]
"""
Seen = tuple[int, str]
"""The status that a client got (0: none), and how the call ended as far as it knows."""
AT_ONCE = CROWD = 24


async def slow(call: Call) -> None:
    """Answers in its own time."""
    await asyncio.sleep(0.2)
    await answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")(call)


class Hanging:
    """Never answers; knows the `x-name` of calls whose first `length` bytes of body are there."""

    def __init__(self, length: int = 0) -> None:
        self.length = length
        self.names: set[bytes | None] = set()

    async def __call__(self, call: Call) -> None:
        left = self.length
        while left > 0:
            left -= len(await call.connection.some(left))
        self.names.add(call.get(b"x-name"))
        await asyncio.Event().wait()

    async def has(self, name: bytes) -> None:
        """Wait until the call of that name is here."""
        while name not in self.names:
            await asyncio.sleep(0.01)


@dataclass
class Load:
    """What clients do. Each kind of call returns what its client saw."""

    product: Product
    client: httpx.AsyncClient
    keys: dict[str, str]
    hanging: Hanging
    uploading: Hanging

    def kinds(self) -> dict[str, tuple[int, Callable[[], Awaitable[Seen]]]]:
        """How many of each, and how it is made."""
        return {
            "good": (150, lambda: self.ask("/shop/items/1", "checkout")),
            "good by another": (60, lambda: self.ask("/shop/items/2", "kiosk")),
            "without a key": (40, lambda: self.ask("/shop/items/1")),
            "no such route": (30, lambda: self.ask("/nowhere")),
            "wrong method": (10, lambda: self.ask("/open/any", method="DELETE")),
            "not found upstream": (20, lambda: self.ask("/open/missing")),
            "failed upstream": (20, lambda: self.ask("/open/failing")),
            "head": (10, lambda: self.ask("/open/any", method="HEAD")),
            "limited": (60, lambda: self.ask("/shop/limited", "checkout")),
            "limited by another": (20, lambda: self.ask("/shop/limited", "kiosk")),
            "nobody listens": (15, lambda: self.ask("/shop/gone", "kiosk")),
            "broken before the answer": (15, lambda: self.ask("/open/broken", method="POST", body=b"x")),
            "too slow": (10, lambda: self.ask("/open/quick/hanging")),
            "too large": (10, lambda: self.ask("/open/any", method="POST", body=b"x" * 5000)),
            "crowded": (CROWD, lambda: self.ask("/open/narrow/slow")),
            "broken in the answer": (10, lambda: self.broken("/open/torn")),
            "gone before the answer": (20, lambda: self.gone("/open/hanging", mark=None)),
            "gone in the answer": (15, lambda: self.gone("/open/stream", mark=b"one")),
            "gone in the request": (15, self.gone_in_the_request),
            "no http": (15, lambda: self.raw(b"GET /open HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n")),
            "smuggled": (
                10,
                lambda: self.raw(
                    b"POST /open HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"
                ),
            ),
        }

    async def ask(self, path: str, app: str = "", *, method: str = "GET", body: bytes | None = None) -> Seen:
        """An ordinary call on a kept connection."""
        headers = {"x-api-key": self.keys[app]} if app else {}
        found = await self.client.request(method, self.product.url + path, headers=headers, content=body)
        return found.status_code, self._state(found)

    def _state(self, found: httpx.Response) -> str:
        """The gateway's own answers are problems whose code says what it was."""
        if found.headers.get("content-type") != "application/problem+json" or not found.content:
            return "ok"
        return {502: "upstream_error", 504: "timeout", 503: "shed"}.get(found.status_code, "rejected")

    async def broken(self, path: str) -> Seen:
        """The answer ends before its end."""
        try:
            await self.ask(path)
        except httpx.RemoteProtocolError:
            return 200, "upstream_error"
        raise AssertionError("the answer was whole")

    async def raw(self, sent: bytes) -> Seen:
        """Bytes that are no request; the answer's status."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.product.gateway_port)
        writer.write(sent)
        line = await reader.readline()
        await reader.read()
        writer.close()
        return int(line.split()[1]), "rejected"

    async def gone(self, path: str, mark: bytes | None) -> Seen:
        """Leave once the upstream has the request, or once `mark` of its answer has come."""
        name = f"{random.getrandbits(64):x}".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.product.gateway_port)
        writer.write(b"GET %b HTTP/1.1\r\nhost: a\r\nx-name: %b\r\n\r\n" % (path.encode(), name))
        if mark is None:
            await self.hanging.has(name)
        else:
            await reader.readuntil(mark)
        writer.transport.abort()
        return 0 if mark is None else 200, "client_abort"

    async def gone_in_the_request(self) -> Seen:
        """Leave in the middle of the body."""
        name = f"{random.getrandbits(64):x}".encode()
        _, writer = await asyncio.open_connection("127.0.0.1", self.product.gateway_port)
        writer.write(
            b"POST /open/upload HTTP/1.1\r\nhost: a\r\nx-name: %b\r\ncontent-length: 1000\r\n\r\nhalf" % name
        )
        await self.uploading.has(name)
        writer.transport.abort()
        return 0, "client_abort"

    async def run(self) -> dict[str, Counter[Seen]]:
        """All of them, in one order of a seed, so many at once; what was seen by kind."""
        work = [(kind, make) for kind, (count, make) in self.kinds().items() for _ in range(count)]
        random.Random(5).shuffle(work)
        work.sort(key=lambda item: item[0] == "crowded")  # these together, at the end
        seen: dict[str, Counter[Seen]] = {kind: Counter() for kind, _ in work}
        waiting = iter(work)

        async def one_client() -> None:
            for kind, make in waiting:
                seen[kind][await make()] += 1

        await asyncio.gather(*(one_client() for _ in range(AT_ONCE)))
        return seen


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[tuple[Product, Hanging, Hanging]]:
    """The product with its console and tasks, before a service that also fails."""
    hanging, uploading = Hanging(), Hanging(4)
    with Service() as service:
        service.on("/open/missing", answer(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno"))
        service.on("/open/failing", answer(b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno"))
        service.on("/open/broken", cut(b""))
        service.on("/open/torn", cut(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"))
        service.on("/open/hanging", hanging)
        service.on("/open/upload", uploading)
        service.on("/open/stream", stream([b"one", service.gate()]))
        service.on("/open/quick/hanging", hang())
        service.on("/open/narrow/slow", slow)
        configuration = CONFIGURATION.format(port=service.port, dead=free_ports(1)[0])
        with running(folder, configuration=configuration, arguments=("--workers", "2")) as product:
            product.wait_ready()
            yield product, hanging, uploading


async def loaded(product: Product, *hanging: Hanging) -> dict[str, Counter[Seen]]:
    """The load's counts."""
    keys = {app: product.issue_key(app) for app in ("checkout", "kiosk")}
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(trust_env=False, timeout=20, limits=limits) as client:
        return await Load(product, client, keys, *hanging).run()


class Console:
    """The product's console, as a person and as a program ask it."""

    def __init__(self, product: Product, stack: contextlib.ExitStack) -> None:
        base = f"http://127.0.0.1:{product.console_port}"
        name, password = product.manage("admin", "create", "olga").split()
        token = product.manage("token", "create", "counts", "--user", name).strip()
        self.program = httpx.Client(
            base_url=base, trust_env=False, timeout=20, headers={"authorization": f"Bearer {token}"}
        )
        self.person = httpx.Client(base_url=base, trust_env=False, timeout=20, follow_redirects=True)
        stack.enter_context(self.program)
        stack.enter_context(self.person)
        wait_until(self._answers, 30, product.log)
        form = self.person.get("/console/sign-in/").text
        hidden = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        assert hidden is not None, form
        given = {"username": name, "password": password, "csrfmiddlewaretoken": hidden[1], "next": ""}
        assert "Sign out" in self.person.post("/console/sign-in/", data=given).text

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.program.get("/api/v1/gateway").status_code == 200
        return False

    def ask(self, path: str, **query: Any) -> Any:
        """The document of the Admin API."""
        found = self.program.get(f"/api/v1/{path}", params=query)
        assert found.status_code == 200, found.text
        return found.json()

    def log(self) -> list[dict[str, Any]]:
        """The whole traffic log, page by page."""
        rows: list[dict[str, Any]] = []
        query: dict[str, Any] = {"page_size": 100}
        while True:
            page = self.ask("traffic", **query)
            rows += page["results"]
            if page["next"] is None:
                return rows
            query["after"] = page["next"]

    def overview(self) -> dict[str, Any]:
        """The numbers on the overview: both tiles, the chart's data, and the tables."""
        text = self.person.get("/console/overview/traffic/").text
        tiles = re.findall(r'tile-name">([^<]+)</div><div class="tile-number">(.*?)</div>', text)
        data = re.search(r'<script id="chart-data-requests"[^>]*>(.*?)</script>', text)
        assert data is not None, text
        tables = re.findall(r"<tr><td><a [^>]*>([^<]*)</a></td>(.*?)</tr>", text)
        cells = [(name, *map(_plain, re.findall(r"<td[^>]*>(.*?)</td>", rest))) for name, rest in tables]
        return {
            "tiles": {name: _plain(number) for name, number in tiles},
            "chart": json.loads(data[1]),
            "tables": cells,
        }


def _plain(cell: str) -> str:
    return re.sub(r"<[^>]*>|[,\s\u202f]", "", cell)


def prometheus(product: Product) -> Counter[tuple[str, str, Seen]]:
    """Api, Route, status and state of `tidegate_requests_total`."""
    text = product.ask_status("/metrics")[1].decode()
    found: Counter[tuple[str, str, Seen]] = Counter()
    for labels, number in re.findall(r"^tidegate_requests_total{(.*)} (\d+)$", text, re.MULTILINE):
        value = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[value["api"], value["route"], (int(value["code"]), value["state"])] += int(number)
    return found


def stored(product: Product, query: str) -> list[tuple[Any, ...]]:
    """Rows of the product's database."""
    with contextlib.closing(sqlite3.connect(product.data / DATABASE, timeout=10)) as database:
        return database.execute(query).fetchall()


def raw_rows(product: Product) -> Counter[tuple[str, str, Seen]]:
    """The same of the traffic log's table."""
    query = "SELECT api, route, status, state, count(*) FROM analytics_rawrecord GROUP BY 1, 2, 3, 4"
    return Counter(
        {(api, route, (status, STATES[state])): n for api, route, status, state, n in stored(product, query)}
    )


def rollups(product: Product, table: str, grain: int) -> Counter[Seen]:
    """Status and state of one table of rollups in one grain."""
    query = (
        f"SELECT status, state, sum(count) FROM {table} r JOIN analytics_series s ON s.id = r.series_id "
        f"WHERE grain = {grain} GROUP BY 1, 2"
    )
    return Counter({(status, STATES[state]): number for status, state, number in stored(product, query)})


def by(counted: Counter[Seen], place: int) -> dict[Any, int]:
    """The sums of either half of the keys."""
    found: Counter[Any] = Counter()
    for key, number in counted.items():
        found[key[place]] += number
    return dict(found)


def class_of(status: int) -> str:
    """As the console names it."""
    return f"{status // 100}xx" if status else "none"


@pytest.mark.timeout(180)
def test_everybody_counts_the_same(tmp_path: Path) -> None:
    with prepared(tmp_path) as (product, *hanging), contextlib.ExitStack() as stack:
        console = Console(product, stack)
        kinds = asyncio.run(loaded(product, *hanging))
        clients: Counter[Seen] = sum(kinds.values(), Counter())
        total = clients.total()
        wait_until(
            lambda: stored(product, "SELECT sum(records) FROM analytics_ingesttotals")[0][0] == total,
            20,
            lambda: (total, kinds, raw_rows(product), prometheus(product)),
        )
        assert_kinds(kinds)
        log = raw_rows(product)
        assert by(log, 2) == clients, kinds
        assert prometheus(product) == log
        for table in ("minuterollup", "hourrollup", "dayrollup"):
            for grain in (0, 1, 3, 4, 5, 6):
                assert rollups(product, f"analytics_{table}", grain) == clients, (table, grain)
        assert_api(console, clients, log)
        assert_overview(console.overview(), clients, log)
        assert prometheus(product) == log, "asking changed what was asked about"


def assert_kinds(kinds: dict[str, Counter[Seen]]) -> None:
    """Every kind of end was seen, and limits held over both workers."""
    assert kinds["limited"] == {(200, "ok"): 37, (429, "rejected"): 23}
    assert kinds["limited by another"] == {(200, "ok"): 20}
    assert kinds["crowded"].keys() == {(200, "ok"), (503, "shed")}, kinds
    ends = {state for seen in kinds.values() for _, state in seen}
    assert ends == {"ok", "rejected", "client_abort", "upstream_error", "timeout", "shed"}
    statuses = {status for seen in kinds.values() for status, _ in seen}
    assert statuses == {0, 200, 400, 401, 404, 405, 413, 429, 500, 502, 503, 504}


def assert_api(console: Console, clients: Counter[Seen], log: Counter[tuple[str, str, Seen]]) -> None:
    """Totals, rankings, chart and log of the Admin API."""
    classes: Counter[str] = Counter()
    for (status, _), number in clients.items():
        classes[class_of(status)] += number
    totals = console.ask("analytics/totals")
    assert (totals["count"], totals["classes"], totals["states"]) == (
        clients.total(),
        classes,
        by(clients, 1),
    )
    for app in ("checkout", "kiosk"):
        assert console.ask("analytics/totals", app=app)["count"] > 0
    groups = console.ask("analytics/top", by=["status", "state"], limit=100)["groups"]
    found = {(int(g["labels"]["status"]), g["labels"]["state"]): g["totals"]["count"] for g in groups}
    assert found == clients
    groups = console.ask("analytics/top", by=["api", "route"], limit=100)["groups"]
    routes: Counter[tuple[str, str]] = Counter()
    for (api, route, _), number in log.items():
        routes[api, route] += number
    assert {(g["labels"]["api"], g["labels"]["route"]): g["totals"]["count"] for g in groups} == routes
    lines = console.ask("analytics/timeline", split="class")["lines"]
    assert {line["label"]: sum(line["values"]) for line in lines} == classes
    rows = console.log()
    assert len({row["request_id"] for row in rows}) == len(rows)
    assert Counter((row["status"], row["state"]) for row in rows) == clients
    errors = console.ask("analytics/errors")["groups"]
    codes = Counter((row["code"], row["policy"], str(row["status"])) for row in rows if row["code"])
    assert {tuple(g["labels"].values()): g["totals"]["count"] for g in errors} == codes


def assert_overview(
    page: dict[str, Any], clients: Counter[Seen], log: Counter[tuple[str, str, Seen]]
) -> None:
    """What a person reads."""
    failures = sum(number for (status, _), number in clients.items() if status >= 500 or not status)
    assert page["tiles"]["Requests"] == str(clients.total())
    assert page["tiles"]["Failed"] == str(failures)
    shown = sum(sum(line["values"]) for line in page["chart"]["lines"])
    assert shown == clients.total()
    apis = {row[0]: int(row[1]) for row in page["tables"] if len(row) == 3}
    expected: Counter[str] = Counter()
    for (api, _, _), number in log.items():
        expected[api or "(no Api)"] += number
    assert apis == expected
