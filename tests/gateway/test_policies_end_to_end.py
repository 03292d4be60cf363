"""Each policy as a client and a service see it, through every door: one gateway, a route for each case."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from proxy.config.snapshot import PathMatch, Policy, Route, Snapshot, Target, Upstream
from proxy.telemetry.record import OK, REJECTED
from tests.gateway.doors import Caller, Gateway, GatewayFactory, snapshot, wait_until
from tests.upstreams import Service, answer

BOB = Caller("bob", groups=("gold", "eu"), plans={"shop": "silver"})
EVE = Caller("eve", groups=("suspended",))
OLD = Caller("old", expires=1.0)
ATTACHED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "key": [("key-auth", {"realm": "shop"})],
    "key-query": [("key-auth", {"query": True})],
    "optional": [("key-auth", {"optional": True})],
    "acl": [("key-auth", {}), ("acl", {"allow": ["gold"], "deny": ["suspended"]})],
    "ip-deny": [("ip-restriction", {"deny": ["127.0.0.0/8"]})],
    "ip-allow": [("ip-restriction", {"allow": ["127.0.0.1"]})],
    "size": [("request-size", {"max_bytes": 10})],
    "size-length": [("request-size", {"max_bytes": 10, "require_content_length": True})],
    "down": [("request-termination", {"status": 503, "message": "Back at noon.", "retry_after": 60})],
    "page": [("request-termination", {"status": 200, "body": "<h1>Soon</h1>", "content_type": "text/html"})],
    "cors": [
        ("cors", {"origins": ["https://shop.example"], "credentials": True, "max_age": 600}),
        ("key-auth", {}),
    ],
    "rate": [
        (
            "rate-limit",
            {"by": "ip", "limits": [{"amount": 3, "period": "hour"}, {"amount": 100, "period": "day"}]},
        )
    ],
    "shape-request": [
        (
            "transform-request",
            {
                "remove_headers": ["x-secret"],
                "rename_headers": {"x-old": "x-new"},
                "add_headers": {"x-from": "{client_ip}"},
                "append_headers": {"x-tag": ["a", "b"]},
                "remove_query": ["debug"],
                "add_query": {"lang": "en"},
                "host": "inside.test",
            },
        )
    ],
    "shape-method": [("transform-request", {"method": "POST"})],
    "shape-response": [
        (
            "transform-response",
            {
                "remove_headers": ["x-powered-by"],
                "rename_headers": {"x-old": "x-new"},
                "add_headers": {"strict-transport-security": "max-age=60"},
                "append_headers": {"link": ["</docs>; rel=help"]},
            },
        )
    ],
}


def everything(port: int) -> Snapshot:
    """A route for each entry of ATTACHED, and modes."""
    routes = [Route(name, "shop", path=path(name), upstream="service") for name in ATTACHED]
    policies = [
        Policy(kind, f"{name}-{kind}", scope="route", subject=name, config=config)
        for name, attached in ATTACHED.items()
        for kind, config in attached
    ]
    for mode in ("enforce", "observe", "off"):
        routes.append(Route(mode, "shop", path=path(mode), upstream="service"))
        policies.append(Policy("key-auth", f"key-{mode}", scope="route", subject=mode, mode=mode))  # type: ignore[arg-type]
    return snapshot(port, routes=tuple(routes), policies=tuple(policies))


def path(name: str) -> PathMatch:
    """A prefix."""
    return PathMatch("prefix", f"/{name}")


@pytest.fixture
def running(gateway: GatewayFactory, door: str, upstream: Service) -> Gateway:
    """The one gateway of this module at that door."""
    return gateway(door, everything(upstream.port), callers=(BOB, EVE, OLD))


def refused(running: Gateway, got: httpx.Response, status: int, code: str, policy: str, detail: str) -> None:
    """A problem document, the same in the record, and one request id in all places."""
    assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json"), got.text
    document = got.json()
    assert document["type"] == f"urn:tidegate:problem:{code}"
    assert (document["code"], document["status"], document["policy"]) == (code, status, policy)
    assert detail in document["detail"]
    assert document["request_id"] == got.headers["x-request-id"]
    record = running.record_of(document["request_id"])
    assert (record.state, record.status, record.code, record.policy) == (REJECTED, status, code, policy)


def test_key_missing(running: Gateway) -> None:
    got = httpx.get(running.url + "/key")
    refused(running, got, 401, "key-missing", "key-key-auth", "No API key found in request")
    assert got.headers["www-authenticate"] == 'Key realm="shop"'


@pytest.mark.parametrize(
    "key", ["tg_wrong", "tg_" + "x" * 30 + "_000000", "somebody-elses-key", "\u00e9" * 9]
)
def test_key_invalid(running: Gateway, key: str) -> None:
    got = httpx.get(running.url + "/key", headers={"x-api-key": key.encode("latin-1")})
    refused(running, got, 401, "key-invalid", "key-key-auth", "Unauthorized")
    assert key not in got.text


def test_key_expired(running: Gateway) -> None:
    got = httpx.get(running.url + "/key", headers={"x-api-key": running.keys["old"]})
    refused(running, got, 401, "key-invalid", "key-key-auth", "Unauthorized")


def test_key_duplicate(running: Gateway) -> None:
    keys = [("x-api-key", running.keys["bob"]), ("x-api-key", running.keys["eve"])]
    got = httpx.get(running.url + "/key", headers=keys)
    refused(running, got, 401, "key-duplicate", "key-key-auth", "Duplicate API key found")


def test_key_valid(running: Gateway, upstream: Service) -> None:
    lies = {"x-consumer-id": "1", "X-Consumer-Username": "admin", "x-anonymous-consumer": "true"}
    got = httpx.get(running.url + "/key", headers={"x-api-key": running.keys["bob"], **lies})
    assert got.status_code == 200
    call = upstream.last("/key")
    assert call.get(b"x-consumer-id") == b"app-1"
    assert call.get(b"x-consumer-username") == b"bob"
    assert call.get(b"x-consumer-groups") == b"gold, eu"
    assert call.get(b"x-credential-identifier") == b"credential-1"
    assert call.get(b"x-anonymous-consumer") is None
    assert call.get(b"x-api-key") is None
    record = running.record_of(got.headers["x-request-id"])
    assert (record.app, record.credential, record.plan) == ("bob", "credential-1", "silver")
    assert (record.state, record.code) == (OK, "")


def test_key_in_the_query_is_hidden(running: Gateway, upstream: Service) -> None:
    got = httpx.get(running.url + f"/key-query?a=1&x-api-key={running.keys['bob']}&b=2")
    assert got.status_code == 200
    assert upstream.last("/key-query").target == b"/key-query?a=1&b=2"
    assert running.keys["bob"] not in repr(running.records())


def test_key_optional(running: Gateway, upstream: Service) -> None:
    assert httpx.get(running.url + "/optional").status_code == 200
    assert upstream.last("/optional").get(b"x-anonymous-consumer") == b"true"
    assert httpx.get(running.url + "/optional", headers={"x-api-key": "tg_wrong"}).status_code == 401


def test_acl(running: Gateway) -> None:
    assert httpx.get(running.url + "/acl", headers={"x-api-key": running.keys["bob"]}).status_code == 200
    got = httpx.get(running.url + "/acl", headers={"x-api-key": running.keys["eve"]})
    assert (got.status_code, got.json()["detail"]) == (403, "You cannot consume this service")
    record = running.record_of(got.headers["x-request-id"])
    assert (record.app, record.policy, record.state) == ("eve", "acl-acl", REJECTED)


def test_addresses(running: Gateway) -> None:
    assert httpx.get(running.url + "/ip-allow").status_code == 200
    got = httpx.get(running.url + "/ip-deny", headers={"x-forwarded-for": "10.0.0.1"})
    assert got.status_code == 403
    assert running.record_of(got.headers["x-request-id"]).policy == "ip-deny-ip-restriction"


def test_request_size(running: Gateway) -> None:
    assert httpx.post(running.url + "/size", content=b"x" * 10).status_code == 200
    got = httpx.post(running.url + "/size", content=b"x" * 11)
    assert got.status_code == 413
    streamed = httpx.post(running.url + "/size", content=iter([b"x" * 6, b"x" * 6]))
    assert (streamed.status_code, streamed.json()["policy"]) == (413, "size-request-size")
    assert running.record_of(streamed.headers["x-request-id"]).policy == "size-request-size"
    unknown = httpx.post(running.url + "/size-length", content=iter([b"x"]))
    assert unknown.status_code == 411


def test_termination(running: Gateway, upstream: Service) -> None:
    got = httpx.get(running.url + "/down")
    assert (got.status_code, got.headers["retry-after"]) == (503, "60")
    assert got.json()["detail"] == "Back at noon."
    page = httpx.get(running.url + "/page")
    assert (page.status_code, page.text, page.headers["content-type"]) == (200, "<h1>Soon</h1>", "text/html")
    assert not upstream.of("/down")
    assert not upstream.of("/page")


def test_cors(running: Gateway, upstream: Service) -> None:
    origin = {"origin": "https://shop.example"}
    ask = {**origin, "access-control-request-method": "PUT", "access-control-request-headers": "x-api-key"}
    preflight = httpx.options(running.url + "/cors", headers=ask)
    assert preflight.status_code in (200, 204)
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "x-api-key"
    assert preflight.headers["access-control-allow-credentials"] == "true"
    assert preflight.headers["access-control-max-age"] == "600"
    assert not upstream.of("/cors")
    error = httpx.get(running.url + "/cors", headers=origin)
    assert error.status_code == 401
    assert error.headers["access-control-allow-origin"] == "https://shop.example"
    assert "origin" in error.headers["vary"].lower()
    foreign = httpx.get(running.url + "/cors", headers={"origin": "https://evil.example"})
    assert foreign.headers.get("access-control-allow-origin") != "https://evil.example"


def test_rate_limit(running: Gateway) -> None:
    answers = [httpx.get(running.url + "/rate") for _ in range(4)]
    assert [got.status_code for got in answers] == [200, 200, 200, 429]
    assert [got.headers["ratelimit-remaining"] for got in answers] == ["2", "1", "0", "0"]
    for got in answers:
        assert got.headers["ratelimit-limit"] == "3"
        assert 1 <= int(got.headers["ratelimit-reset"]) <= 3600
        assert got.headers["x-ratelimit-limit-hour"] == "3"
        assert got.headers["x-ratelimit-limit-day"] == "100"
    assert answers[0].headers["x-ratelimit-remaining-day"] == "99"
    assert answers[3].headers["x-ratelimit-remaining-hour"] == "0"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 3600
    assert answers[3].json()["title"] == "Too Many Requests"
    assert "3 requests per hour" in answers[3].json()["detail"]
    record = running.record_of(answers[3].headers["x-request-id"])
    assert (record.state, record.policy, record.status) == (REJECTED, "rate-rate-limit", 429)
    assert record.rule


def test_transform_request(running: Gateway, upstream: Service) -> None:
    headers = {"x-secret": "1", "x-old": "2", "x-tag": "mine"}
    got = httpx.get(running.url + "/shape-request/a%20b?debug=1&q=%2F", headers=headers)
    assert got.status_code == 200
    call = upstream.calls[-1]
    assert call.target == b"/shape-request/a%20b?q=%2F&lang=en"
    assert call.get(b"x-secret") is None
    assert (call.get(b"x-old"), call.get(b"x-new")) == (None, b"2")
    assert call.get(b"x-from") == b"127.0.0.1"
    assert call.values(b"x-tag") == [b"mine", b"a", b"b"]
    assert call.get(b"host") == b"inside.test"


def test_transform_request_leaves_head_as_it_is(running: Gateway, upstream: Service) -> None:
    # An answer to anything else has a body, which nobody would expect on that connection.
    with httpx.Client(base_url=running.url) as client:
        for _ in range(2):
            assert client.head("/shape-method").status_code == 200
            assert upstream.calls[-1].method == b"HEAD"
            assert client.get("/shape-method").json()["method"] == "POST"


def test_transform_response(running: Gateway, upstream: Service) -> None:
    head = b"HTTP/1.1 200 OK\r\nx-powered-by: php\r\nx-old: 1\r\nlink: </a>\r\ncontent-length: 2\r\n\r\nok"
    upstream.on("/shape-response", answer(head))
    got = httpx.get(running.url + "/shape-response")
    assert got.text == "ok"
    assert "x-powered-by" not in got.headers
    assert ("x-old" in got.headers, got.headers["x-new"]) == (False, "1")
    assert got.headers["strict-transport-security"] == "max-age=60"
    assert got.headers.get_list("link") == ["</a>", "</docs>; rel=help"]


def test_modes(running: Gateway, upstream: Service) -> None:
    assert httpx.get(running.url + "/enforce").status_code == 401
    observed = httpx.get(running.url + "/observe")
    assert observed.status_code == 200
    record = running.record_of(observed.headers["x-request-id"])
    assert (record.observed, record.policy, record.state) == ("key-observe", "", OK)
    assert httpx.get(running.url + "/observe", headers={"x-api-key": running.keys["bob"]}).status_code == 200
    assert upstream.last("/observe").get(b"x-api-key") == running.keys["bob"].encode()
    off = httpx.get(running.url + "/off")
    assert off.status_code == 200
    assert running.record_of(off.headers["x-request-id"]).observed == ""


def test_metrics_tell_of_refusals(running: Gateway) -> None:
    httpx.get(running.url + "/enforce")
    httpx.get(running.url + "/observe")
    text = running.prometheus()
    assert 'policy="key-auth"' in text
    assert 'outcome="refused"' in text
    assert 'outcome="observed"' in text


def test_no_route_and_no_instance(gateway: GatewayFactory, door: str) -> None:
    config = Snapshot(
        revision=1,
        routes=(
            Route("r", "shop", path=path("empty"), upstream="empty"),
            Route("g", "shop", path=path("get"), upstream="empty", methods=("GET", "HEAD")),
        ),
        upstreams=(Upstream("empty"),),
    )
    running = gateway(door, config)
    missing = httpx.get(running.url + "/nowhere")
    assert (missing.status_code, missing.json()["code"]) == (404, "no-route")
    wrong = httpx.post(running.url + "/get")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
    empty = httpx.get(running.url + "/empty")
    assert (empty.status_code, empty.json()["code"]) == (503, "no-healthy-upstream")


def test_publish_under_load_fails_no_request(gateway: GatewayFactory, door: str) -> None:
    with Service() as first, Service() as second:
        ports = (first.port, second.port)
        running = gateway(door, revised(1, ports), fresh=True)
        results: list[int] = []
        stop = threading.Event()
        threads = [threading.Thread(target=ask, args=(running.url, results, stop)) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(results) > 20, "requests under the first revision")
        for revision in range(2, 8):
            running.publish(revised(revision, ports))
            wait_until(
                lambda revision=revision: any(one.revision == revision for one in running.records()),
                "requests under the new revision",
            )
        stop.set()
        for thread in threads:
            thread.join()
        assert set(results) == {200}
        assert first.calls
        assert second.calls
        revisions = {record.revision for record in running.records()}
        assert revisions == set(range(1, 8))
        assert len(running.records()) == len(results)
        running.stop()


def revised(revision: int, ports: tuple[int, int]) -> Snapshot:
    """Each revision sends everything to the other service."""
    config = snapshot(ports[revision % 2], revision=revision)
    upstream = Upstream("service", targets=(Target("127.0.0.1", ports[revision % 2]),))
    return Snapshot(revision=revision, routes=config.routes, upstreams=(upstream,))


def ask(url: str, results: list[int], stop: threading.Event) -> None:
    """Requests one after the other, on one connection, until told to stop."""
    with httpx.Client() as client:
        while not stop.is_set():
            try:
                results.append(client.post(url + "/x", content=b"body").status_code)
            except httpx.HTTPError:
                results.append(0)
