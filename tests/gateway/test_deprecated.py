"""What a deprecated Api tells its clients, on the wire."""

from __future__ import annotations

import datetime

import httpx

from proxy.config import document as d
from proxy.config.compile import compile_document
from proxy.config.snapshot import PathMatch, Target, Upstream
from tests.gateway.doors import GatewayFactory
from tests.upstreams import Service


def test_every_answer_says_so_the_gateways_own_too(
    gateway: GatewayFactory, upstream: Service, door: str
) -> None:
    routes = (
        d.Route("open", PathMatch("prefix", "/open"), upstream="service"),
        d.Route(
            "closed", PathMatch("prefix", "/closed"), upstream="service", policies=(d.Policy("key-auth"),)
        ),
    )
    old = d.Api(
        "old",
        lifecycle="deprecated",
        deprecated_at=datetime.date(2026, 1, 1),
        sunset_at=datetime.date(2026, 12, 31),
        documentation_url="https://docs.example.com/move",
        routes=routes,
    )
    other = d.Api("new", base_path="/new", routes=(d.Route("new", upstream="service"),))
    service = Upstream("service", (Target("127.0.0.1", upstream.port),))
    running = gateway(door, compile_document(d.Document(apis=(old, other), upstreams=(service,)), 1))
    for path, status in (("/open", 200), ("/open", 200), ("/closed", 401)):
        got = httpx.get(running.url + path)
        assert got.status_code == status
        assert got.headers["deprecation"] == "@1767225600"
        assert got.headers["sunset"] == "Thu, 31 Dec 2026 23:59:59 GMT"
        assert got.headers["link"] == '<https://docs.example.com/move>; rel="deprecation"'
    got = httpx.get(running.url + "/new")
    assert got.status_code == 200 and not {"deprecation", "sunset", "link"} & set(got.headers)
