"""The traffic record that tests and benchmarks start from."""

from __future__ import annotations

from proxy.telemetry.record import TrafficRecord

RECORD = TrafficRecord(
    time=1_790_000_000.25,
    duration_us=1834,
    request_id="9f1c0d7e55aa43b2c7d81e02",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    method="GET",
    host="api.example.com",
    path="/v1/orders/7",
    user_agent="curl/8.1.2",
    api="orders",
    route="orders-read",
    revision=1,
    app="shop",
    credential="1",
    state=0,
    status=200,
    client_ip="192.0.2.10",
    plan="gold",
    target="10.0.0.1:80",
    upstream_us=1501,
    bytes_in=0,
    bytes_out=138,
    tries=1,
    code="",
    policy="",
    rule="",
    observed="",
    protocol="HTTP/1.1",
)
"""A call of the App `shop` that went well. `msgspec.structs.replace` makes others of it."""
