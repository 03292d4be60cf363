"""What a retired Api answers, and that it is in nobody's way."""

from __future__ import annotations

import httpx
import msgspec

from proxy.config import document as d
from proxy.config.compile import compile_document
from proxy.config.snapshot import PathMatch, Target, Upstream
from proxy.telemetry.record import REJECTED
from tests.gateway.doors import GatewayFactory
from tests.upstreams import Service

KEY = d.Policy("key-auth")


def shop(port: int, lifecycle: d.Lifecycle) -> d.Document:
    """An Api in its state of life, and one beside it that is in service and open to all."""
    old = d.Api(
        "old-shop",
        title="Shop",
        base_path="/shop",
        lifecycle=lifecycle,
        policies=(KEY,),
        routes=(d.Route("items", PathMatch("prefix", "/items"), upstream="service"),),
    )
    new = d.Api("help", base_path="/shop/items/help", routes=(d.Route("help", upstream="service"),))
    return d.Document(apis=(old, new), upstreams=(Upstream("service", (Target("127.0.0.1", port),)),))


def test_it_is_gone_for_everybody_and_nothing_goes_upstream(
    gateway: GatewayFactory, upstream: Service, door: str
) -> None:
    running = gateway(door, compile_document(shop(upstream.port, "deprecated"), 1))
    assert httpx.get(running.url + "/shop/items/1").status_code == 401
    running.publish(compile_document(shop(upstream.port, "retired"), 2))
    running.forget_records()
    before = len(upstream.calls)
    for got in (
        httpx.get(running.url + "/shop/items/1"),
        httpx.post(running.url + "/shop/items", content=b"x"),
    ):
        assert got.status_code == 410
        assert got.headers["content-type"] == "application/problem+json"
        told = msgspec.json.decode(got.content)
        assert (told["status"], told["detail"]) == (410, "The API Shop v1 is retired.")
    assert len(upstream.calls) == before
    for record in running.new_records(2):
        assert (record.state, record.status) == (REJECTED, 410)
        assert (record.api, record.route) == ("old-shop", "items")
    assert httpx.get(running.url + "/shop/items/help").status_code == 200
    assert httpx.get(running.url + "/shop").status_code == 404
