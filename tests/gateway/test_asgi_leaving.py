"""Requests of the ASGI door that end before they have begun, and what is left of those that ended well."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from proxy.config.store import SnapshotStore
from proxy.doors.asgi_http import AsgiExchange, serve
from proxy.doors.asgi_open import OpenExchanges
from proxy.engine import Engine
from proxy.exchange import Exchange
from proxy.node import SNAPSHOT, NodeDir, SharedState
from proxy.telemetry.record import CLIENT_ABORT
from proxy.telemetry.tail import Tail
from tests.gateway.doors import snapshot
from tests.upstreams import Service

Ask = Callable[[str, str], Coroutine[Any, Any, None]]


def scope(method: str, version: str) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": version,
        "method": method,
        "scheme": "http",
        "path": "/x",
        "raw_path": b"/x",
        "query_string": b"",
        "headers": [(b"host", b"a.test")],
        "client": ("127.0.0.1", 5),
    }


def with_engine(
    folder: Path, test: Callable[[Engine, OpenExchanges, Ask], Coroutine[Any, Any, None]]
) -> None:
    """Run a test against an engine whose service answers; `ask` is one request whose client never says more."""

    async def receive() -> dict[str, Any]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def send(message: Any) -> None:
        assert message["type"].startswith("http.response.")

    async def run(port: int) -> None:
        node = NodeDir(folder)
        SnapshotStore(node).write(snapshot(port))
        SharedState(node.state).numbers[SNAPSHOT] = 1
        engine, exchanges = Engine(node, 0, name="n"), OpenExchanges()
        await engine.start()
        try:
            await test(
                engine,
                exchanges,
                lambda method, version: serve(engine.core, exchanges, scope(method, version), receive, send),
            )
        finally:
            await engine.stop()

    with Service() as service:
        asyncio.run(run(service.port))


@pytest.mark.parametrize(
    ("method", "version", "remembered"),
    [("GET", "1.1", True), ("GET", "2", True), ("DELETE", "2", False)],
    ids=["before its turn", "before its turn, HTTP/2", "before its body"],
)
def test_a_client_that_leaves_before_anything_began_is_counted_once(
    tmp_path: Path, method: str, version: str, remembered: bool
) -> None:
    async def test(engine: Engine, exchanges: OpenExchanges, ask: Ask) -> None:
        for _ in range(2 if remembered else 0):
            await ask(method, version)
        assert bool(engine.core.runtime.heads) is remembered  # type: ignore[union-attr]
        before = len(Tail(engine.node.spool).new())
        leaving = ask(method, version)
        leaving.send(None)
        leaving.close()
        await asyncio.sleep(0.01)
        assert engine.core.in_flight == 0
        assert not exchanges.waiting
        records = Tail(engine.node.spool).new()[before:]
        assert [(record.status, record.state, record.code) for record in records] == [
            (0, CLIENT_ABORT, "client-gone")
        ]
        assert records[0].request_id

    with_engine(tmp_path, test)


def test_a_request_that_is_over_is_gone_without_the_collector(tmp_path: Path) -> None:
    async def test(engine: Engine, exchanges: OpenExchanges, ask: Ask) -> None:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                await ask("GET", "1.1")
            await asyncio.sleep(0.01)
            left = [thing for thing in gc.get_objects() if type(thing) in (AsgiExchange, Exchange)]
            assert not left
        finally:
            gc.enable()

    with_engine(tmp_path, test)
