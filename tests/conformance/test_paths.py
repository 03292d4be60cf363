"""Section 3.C of the threat catalogue: one path, one method, one host, whoever looks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.config.snapshot import PathMatch, Policy, Route
from tests.conformance.gateway import HANDSHAKE, Gateway, get, head, open_snapshot, running


def _route(name: str, kind: str, value: str, **options: object) -> Route:
    return Route(name, "shop", path=PathMatch(kind, value), upstream="recorder", **options)  # type: ignore[arg-type]


ROUTES = (
    _route("api", "prefix", "/api", strip_prefix=True),
    _route("public", "prefix", "/public"),
    _route("admin", "prefix", "/admin"),
    _route("files", "prefix", "/files", allow_encoded=True),
    _route("orders-item", "template", "/orders/{id}"),
    _route("orders-admin", "exact", "/orders/admin"),
    _route("report", "regex", "/reports/[a-z]+"),
    _route("get-only", "prefix", "/get-only", methods=("GET",)),
    _route("wildcard", "prefix", "/wild", hosts=("*.shop.test",)),
    _route("exact-host", "prefix", "/wild", hosts=("eu.shop.test",)),
    _route("user", "template", "/users/{name}", rewrite_path="/people/{name}/profile"),
)
CLOSED = Policy(
    "request-termination", "closed", scope="route", subject="admin", config={"status": 403, "message": "No"}
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Routes beside each other; nobody gets into /admin."""
    with running(
        tmp_path_factory.mktemp("node"), open_snapshot(routes=ROUTES, policies=(CLOSED,))
    ) as started:
        yield started


REFUSED = [
    ("T-C01", b"/api/../../admin"), ("T-C01", b"/.."), ("T-C01", b"/%2e%2e/admin"),
    ("T-C01", b"/api/%2e%2e/%2E%2e/admin"), ("T-C03", b"/public/%00"), ("T-C03", b"/public/%0d%0aX:y"),
    ("T-C03", b"/public%1f"), ("T-C03", b"/public%7f"), ("T-C05", b"/public\\..\\admin"),
    ("T-C05", b"/public/..\\admin"),  ("T-C05", b"/public/..;/admin"),
    ("T-C05", b"/public/..;x=1/admin"), ("T-C05", b"/public/.;/../admin"),
    ("T-C05", b"/public/%2e%2e;/admin"), ("T-C06", b"/public/%2"), ("T-C06", b"/public/%"),
    ("T-C06", b"/public/%zz"), ("T-C06", b"/public/%u002e"), ("T-C06", b"/public/%%32e"),
    ("T-C08", b"/admin%09"), ("T-C08", b"/admin%0a"), ("T-C08", b"/admin%0d"),
    ("T-C11", b"/public#/../admin"), ("T-C11", b"/public?a#b"), ("T-C11", b'/public"x'), ("T-C11", b"/#"),
    ("T-C07", b"/public/\xc0\xae"), ("T-C07", b"/public/\xff"), ("T-C07", "/public/\uff0e".encode()),
    ("T-C12", b"/public?a=\xff"), ("T-C12", b"/public?\x1b[2J"), ("T-C12", b"/public?a=\x7f"),
]  # fmt: skip
BAD_TARGETS = [
    b"admin", b"@evil/", b".evil.com/", b"*", b"http:/a.test/x", b"http:a.test", b"//", b"evil.test:80",
    b"?x", b"http://", b"http:///x", b"\\admin", b"\xef\xbc\x8fadmin", b"javascript:alert(1)", b"%2fadmin",
]  # fmt: skip


@pytest.mark.parametrize(("threat", "target"), REFUSED, ids=[f"{t}-{p!r}" for t, p in REFUSED])
def test_a_path_that_two_readers_could_read_in_two_ways_is_refused(
    shop: Gateway, threat: str, target: bytes
) -> None:
    assert shop.refuses(get(target)).code == "bad-path", threat


AMBIGUOUS = [
    b"%2f",
    b"%2F",
    b"%5c",
    b"%5C",
    b"%3b",
    b"%25",
    b"%3f",
    b"%23",
    b"%252e%252e%252f",
    b"%2500",
    b"%25%32%65",
]


@pytest.mark.parametrize("escape", AMBIGUOUS)
def test_escaped_delimiters_are_refused_unless_the_route_takes_them(shop: Gateway, escape: bytes) -> None:
    # T-C03, T-C06: taken, they are matched and forwarded as they came, never decoded.
    before = shop.upstream.bytes
    with shop.connect() as client:
        client.send(get(b"/public/a" + escape + b"b"))
        answer = client.read()
        assert (answer.status, answer.code) == (400, "encoded-delimiter")
    shop.upstream.settle()
    assert shop.upstream.bytes == before
    sent = shop.accepts(get(b"/files/a" + escape + b"b")).target
    assert sent.lower() == b"/files/a" + escape.replace(b"%32%65", b"2e").lower() + b"b"


@pytest.mark.parametrize(
    "target",
    [
        b"/files/..%2fadmin",
        b"/files/%2e%2e%2fadmin",
        b"/files/..%5cadmin",
        b"/files/..%3bx/admin",
        b"/files/a%2f..",
    ],
)
def test_escaped_delimiters_never_hide_a_dot_segment(shop: Gateway, target: bytes) -> None:
    # T-C01, T-C03
    assert shop.refuses(get(target)).code == "bad-path"


@pytest.mark.parametrize("target", BAD_TARGETS)
def test_a_target_must_be_a_path(gateway: Gateway, target: bytes) -> None:
    # T-C10
    if target == b"//":
        assert gateway.accepts(get(target)).target == b"/"  # T-C04: never an authority
        return
    assert gateway.refuses(get(target)).code in ("bad-target", "bad-path", "host-mismatch")


INTO_ADMIN = [
    b"/admin", b"/admin/", b"/admin/x", b"//admin", b"///admin", b"/./admin", b"/public/../admin",
    b"/public//..//admin", b"/public/%2e%2e/admin", b"/%61dmin", b"/adm%69n/x", b"/api/../admin",
    b"/api/%2e%2e/admin", b"/x/../admin", b"/admin/.", b"/admin//", b"/public/x/../../admin",
    b"/admin?x=/public", b"/public/./../admin/secret",
]  # fmt: skip


@pytest.mark.parametrize("target", INTO_ADMIN)
def test_every_spelling_of_a_protected_path_is_protected(shop: Gateway, target: bytes) -> None:
    # T-C01, T-C02, T-C04, T-C08
    before = shop.upstream.bytes
    with shop.connect() as client:
        client.send(get(target))
        assert client.read().status == 403
    shop.upstream.settle()
    assert shop.upstream.bytes == before


FORWARDED = [
    ("T-C01", b"/api/x", b"/x"), ("T-C01", b"/api", b"/"), ("T-C01", b"/api//admin", b"/admin"),
    ("T-C01", b"/api/v1/../admin", b"/admin"), ("T-C02", b"/public/a%2eb", b"/public/a.b"),
    ("T-C04", b"/public//x", b"/public/x"), ("T-C04", b"/public///", b"/public/"),
    ("T-C04", b"//public", b"/public"), ("T-C05", b"/public;x=1", None),
    ("T-C05", b"/public/a;x=1", b"/public/a;x=1"), ("T-C07", b"/public/%c0%ae", b"/public/%C0%AE"),
    ("T-C07", b"/public/%c0%af", b"/public/%C0%AF"), ("T-C07", b"/public/%ff", b"/public/%FF"),
    ("T-C07", b"/public/%ed%a0%80", b"/public/%ED%A0%80"),
    ("T-C07", b"/public/%ef%bc%8e%ef%bc%8e%ef%bc%8fadmin", b"/public/%EF%BC%8E%EF%BC%8E%EF%BC%8Fadmin"),
    ("T-C07", b"/public/%c5%bf%c4%b0%e2%84%aa", b"/public/%C5%BF%C4%B0%E2%84%AA"),
    ("T-C07", b"/%e2%84%aa", None), ("T-C08", b"/ADMIN", None), ("T-C08", b"/admin.", None),
    ("T-C08", b"/admin%20", None), ("T-C08", b"/reports/a", b"/reports/a"), ("T-C08", b"/reports/A", None),
    ("T-C08", b"/reports/a%20", None), ("T-C08", b"/reports/a/", None),
    ("T-C12", b"/public?a=1;b=2", b"/public?a=1;b=2"),
    ("T-C12", b"/public?a=1&a=2&&", b"/public?a=1&a=2&&"),
    ("T-C12", b"/public?a%26b=%2f%00%0a", b"/public?a%26b=%2f%00%0a"),
    ("T-C12", b"/public?../../admin", b"/public?../../admin"), ("T-C12", b"/public?", b"/public?"),
    ("T-C12", b"/public??a=?", b"/public??a=?"),
    ("T-C12", b"/public?http://a/%zz", b"/public?http://a/%zz"),
    ("T-C15", b"/users/bob", b"/people/bob/profile"), ("T-C15", b"/users/a%20b", b"/people/a%20b/profile"),
    ("T-C09", b"http://a.test/public/x", b"/public/x"),
    ("T-C09", b"HTTP://A.TEST:80/public/x", b"/public/x"), ("T-C09", b"http://a.test?x=1", None),
    ("T-C09", b"https://a.test/public", b"/public"),
]  # fmt: skip


@pytest.mark.parametrize(("threat", "target", "sent"), FORWARDED, ids=[f"{t}-{p!r}" for t, p, _ in FORWARDED])
def test_what_is_matched_is_what_is_forwarded(
    shop: Gateway, threat: str, target: bytes, sent: bytes | None
) -> None:
    if sent is None:
        _nowhere(shop, get(target))
        return
    shop.settle()
    with shop.connect() as client:
        client.send(get(target))
        assert client.read().body == b"GET " + sent, threat
    shop.upstream.settle()
    assert shop.upstream.requests[-1].target == sent


def _nowhere(shop: Gateway, payload: bytes, status: int = 404) -> None:
    before = shop.upstream.bytes
    with shop.connect() as client:
        client.send(payload)
        assert client.read(payload.partition(b" ")[0]).status == status
    shop.upstream.settle()
    assert shop.upstream.bytes == before


@pytest.mark.parametrize(
    "target", [b"/users/..", b"/users/%2e%2e", b"/users/.", b"/users/..%2fadmin", b"/users/%2fadmin"]
)
def test_a_rewrite_cannot_be_talked_into_another_path(shop: Gateway, target: bytes) -> None:
    # T-C01
    before = shop.upstream.bytes
    with shop.connect() as client:
        client.send(get(target))
        assert client.read().status in (400, 404)
    shop.upstream.settle()
    assert shop.upstream.bytes == before


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://admin.internal/x", b"a.test"),
        (b"http://a.test.evil/x", b"a.test"),
        (b"http://a.test:1:2/x", b"a.test"),
        (b"http://user@a.test/x", b"a.test"),
        (b"gopher://admin.internal/x", b"a.test"),
        (b"file:///etc/passwd", b"a.test"),
        (b"http://a.test\\@evil/x", b"a.test"),
    ],
)
def test_absolute_form_cannot_name_another_host(gateway: Gateway, target: bytes, host: bytes) -> None:
    # T-C09
    assert gateway.refuses(get(target, host=host)).status == 400


def test_asterisk_is_for_options_alone(gateway: Gateway) -> None:
    # T-C10
    assert gateway.accepts(head(b"OPTIONS", b"*")).target == b"/"
    assert gateway.refuses(get(b"*")).code == "bad-target"


def test_ten_thousand_parameters_go_through_byte_for_byte(gateway: Gateway) -> None:
    # T-C12: as many as fit in a line.
    target = b"/public?" + b"&".join(b"a=%d" % (number % 10) for number in range(2000))
    assert gateway.accepts(get(target)).target == target
    too_many = b"/public?" + b"&".join(b"a=%d" % number for number in range(10_000))
    assert gateway.refuses(get(too_many)).status == 414


@pytest.mark.parametrize(
    "payload",
    [
        head(b"OPTIONS", b"/get-only/x"),
        head(b"PROPFIND", b"/get-only/x"),
        head(b"DELETE", b"/get-only/x"),
        head(b"POST", b"/get-only/x", b"Content-Length: 0"),
        head(b"POST", b"/get-only/x", b"X-HTTP-Method-Override: GET", b"Content-Length: 0"),
        head(b"OPTIONS", b"/get-only/x", b"Origin: https://a.test", b"Access-Control-Request-Method: GET"),
    ],
)
def test_a_route_takes_its_methods_and_no_others(shop: Gateway, payload: bytes) -> None:
    # T-C13
    _nowhere(shop, payload, 405)


@pytest.mark.parametrize("method", [b"TRACE", b"CONNECT", b"FOO"])
def test_a_method_that_is_not_supported_is_told_which_are(gateway: Gateway, method: bytes) -> None:
    # RFC 9110 15.5.6
    answer = gateway.refuses(head(method, b"/x"))
    allowed = (answer.get(b"allow") or b"").split(b", ")
    assert (answer.status, method in allowed, {b"GET", b"POST"} <= set(allowed)) == (405, False, True)


def test_head_is_get_without_its_body(shop: Gateway) -> None:
    # T-C13
    assert shop.accepts(head(b"HEAD", b"/get-only/x")).method == b"HEAD"
    seen = shop.accepts(get(b"/get-only/x", b"X-HTTP-Method-Override: DELETE"))
    assert (seen.method, seen.values(b"x-http-method-override")) == (b"GET", [])


def test_a_websocket_handshake_runs_the_same_pipeline(shop: Gateway) -> None:
    # T-C14
    _nowhere(shop, get(b"/admin/ws", *HANDSHAKE), 403)
    _nowhere(shop, get(b"/public/../admin/ws", *HANDSHAKE), 403)
    _nowhere(shop, get(b"http://a.test/admin/ws", *HANDSHAKE), 403)


OVERLAPS = [
    (b"/orders/admin", b"a.test", "orders-admin"), (b"/orders/7", b"a.test", "orders-item"),
    (b"/orders/Admin", b"a.test", "orders-item"), (b"/wild/x", b"eu.shop.test", "exact-host"),
    (b"/wild/x", b"us.shop.test", "wildcard"), (b"/wild/x", b"EU.SHOP.TEST.:80", "exact-host"),
]  # fmt: skip


def test_overlapping_routes_have_one_order_that_a_reload_keeps(shop: Gateway) -> None:
    # T-C15
    for revision in (2, 3):
        routes = ROUTES if revision == 3 else tuple(reversed(ROUTES))
        shop.publish(open_snapshot(revision=revision, routes=routes, policies=(CLOSED,)))
        for target, host, name in OVERLAPS:
            shop.settle()
            with shop.connect() as client:
                client.send(get(target, host=host))
                assert client.read().status == 200
            assert shop.record().route == name
