"""A Target that is gone, seen through the worker's process: the others serve, and metrics tell of it."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator

import httpx

from proxy.config.snapshot import OutlierEjection, Target
from tests.gateway.doors import Gateway, GatewayFactory, snapshot, wait_until
from tests.upstreams import Service

LABELS = '{{upstream="service",target="{}"}} '


class Greeting(http.server.BaseHTTPRequestHandler):
    """Answers every GET with 204."""

    def do_GET(self) -> None:
        """One answer."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def greeting(port: int) -> Iterator[None]:
    """A service at that port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Greeting) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield
        server.shutdown()
        thread.join(10)


def number(gateway: Gateway, name: str, target: Target) -> int:
    """What the metrics say of a Target; 0 if nothing."""
    start = name + LABELS.format(target.label)
    lines = gateway.prometheus().splitlines()
    return next((int(line.removeprefix(start)) for line in lines if line.startswith(start)), 0)


def test_a_target_that_is_gone_costs_five_tries_and_comes_back(gateway: GatewayFactory, door: str) -> None:
    with Service() as first, Service() as second, socket.socket() as place:
        place.bind(("127.0.0.1", 0))  # nobody listens: connections are refused
        gone = Target("127.0.0.1", place.getsockname()[1])
        targets = (Target("127.0.0.1", first.port), Target("127.0.0.1", second.port), gone)
        outlier = OutlierEjection(failures=5, base_seconds=6.0)
        config = snapshot(first.port, upstream={"targets": targets, "outlier": outlier})
        running = gateway(door, config, fresh=True)
        with httpx.Client(base_url=running.url, trust_env=False) as client:
            assert {client.get("/").status_code for _ in range(40)} == {200}
            assert number(running, "tidegate_target_ejected", gone) == 1
            assert number(running, "tidegate_target_ejections_total", gone) == 1
            tries = [record.tries for record in running.new_records(40)]
            assert (tries.count(2), tries.count(1)) == (5, 35) and tries[-20:] == [1] * 20
            assert f"{gone.label} is ejected for 6 s" in running.stderr()
            place.close()
            with greeting(gone.port):
                wait_until(lambda: not number(running, "tidegate_target_ejected", gone), "its return")
                assert {client.get("/").status_code for _ in range(3)} == {200, 204}
