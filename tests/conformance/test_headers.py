"""Section 3.B of the threat catalogue: which headers are believed, and what an upstream gets to see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.config.snapshot import Route, Upstream, ValueMatch
from proxy.http.addresses import canonical_ip
from tests.conformance.gateway import Gateway, get, head, open_snapshot, running
from tests.conformance.recorder import Seen

OWNED = [
    b"X-Consumer-Id", b"X-Consumer-Username", b"X-Consumer-Groups", b"X-Consumer-Custom-Id",
    b"X-Credential-Id", b"X-Credential-Identifier", b"X-Authenticated-Userid", b"X-Authenticated-Scope",
    b"X-Gateway-Plan", b"X-Tidegate-Route", b"X-Anonymous-Consumer", b"x-consumer-id", b"X-CONSUMER-ID",
]  # fmt: skip
HEARSAY = [
    b"X-Forwarded-Prefix", b"X-Forwarded-Server", b"X-Original-URL", b"X-Rewrite-URL",
    b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override", b"X-Forwarded-Client-Cert",
    b"X-Envoy-External-Address", b"X-Envoy-Upstream-Rq-Timeout-Ms", b"X-Envoy-Retry-On",
    b"X-Forwarded-Port", b"Forwarded", b"Proxy-Authorization", b"Proxy-Connection", b"Keep-Alive",
]  # fmt: skip
UNDERSCORES = [
    b"X_Consumer_Id", b"X_Forwarded_Proto", b"X-Consumer_Id", b"x_consumer-id", b"Content_Length",
    b"Transfer_Encoding", b"_", b"X-A_", b"_Host",
]  # fmt: skip


@pytest.mark.parametrize("name", OWNED)
def test_only_the_gateway_says_who_calls(gateway: Gateway, name: bytes) -> None:
    seen = gateway.accepts(get(b"/x", name + b": admin", b"X-Kept: kept"))
    assert b"admin" not in seen.raw
    assert seen.values(b"x-kept") == [b"kept"]


@pytest.mark.parametrize("name", HEARSAY)
def test_what_only_proxies_may_say_is_taken_away(gateway: Gateway, name: bytes) -> None:
    # T-B06: and it has no say in what is routed.
    seen = gateway.accepts(get(b"/x", name + b": /admin", b"X-Kept: kept"))
    assert b"admin" not in seen.raw
    assert (seen.method, seen.target) == (b"GET", b"/x")


@pytest.mark.parametrize("name", UNDERSCORES)
@pytest.mark.parametrize("piece", [0, 1], ids=["whole", "bytes"])
def test_names_that_could_become_others_behind_us_are_refused(
    gateway: Gateway, name: bytes, piece: int
) -> None:
    # T-B02
    assert gateway.refuses(get(b"/x", name + b": admin"), piece=piece).code == "header-underscore"
    both = get(b"/x", b"X-Consumer-Id: a", name + b": admin")
    assert gateway.refuses(both, piece=piece).code == "header-underscore"


@pytest.mark.parametrize(
    "named",
    [
        b"close, X-Consumer-Id, X-Forwarded-For, Authorization",
        b"X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Real-IP, X-Request-Id, traceparent",
        b"Host, Content-Length, Transfer-Encoding, X-Forwarded-For",
        b"keep-alive,,host , x-forwarded-for",
        b"X-FORWARDED-FOR",
    ],
)
def test_connection_cannot_take_away_what_the_gateway_sets(gateway: Gateway, named: bytes) -> None:
    # T-B03
    lines = (
        b"Connection: " + named,
        b"X-Forwarded-For: 10.0.0.1",
        b"X-Consumer-Id: admin",
        b"Content-Length: 5",
    )
    seen = gateway.accepts(head(b"POST", b"/x", *lines) + b"Hello")
    assert seen.body == b"Hello" and seen.values(b"content-length") == [b"5"]
    for name in (
        b"host",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-request-id",
        b"traceparent",
    ):
        assert len(seen.values(name)) == 1, name
    assert seen.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert b"x-consumer-id" not in seen.names and b"connection" not in seen.names


def test_headers_that_connection_names_end_at_the_gateway(gateway: Gateway) -> None:
    seen = gateway.accepts(
        get(b"/x", b"X-Hop: secret", b"Connection: x-hop", b"X-Hop: again", b"X-Kept: kept")
    )
    assert b"x-hop" not in seen.names and b"x-kept" in seen.names
    several = get(b"/x", b"Connection: x-a", b"Connection: x-b", b"X-A: 1", b"X-B: 2")
    assert not gateway.accepts(several).names & {b"x-a", b"x-b"}


def test_a_credential_that_connection_names_counts_for_nobody(gateway: Gateway) -> None:
    # T-B03: policies and upstream see the same headers, so nobody decides on one that the other lacks.
    seen = gateway.accepts(
        get(b"/x", b"Connection: close, Authorization, X-Api-Key", b"Authorization: secret")
    )
    assert b"secret" not in seen.raw


FORGED = [
    [b"X-Forwarded-For: 10.0.0.1, 8.8.8.8"],
    [b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-For: 8.8.8.8"],
    [b"X-Forwarded-For: 2001:db8::1"],
    [b"X-Forwarded-For: [2001:db8::1]:4711"],
    [b"X-Forwarded-For: 10.0.0.1:80"],
    [b"X-Forwarded-For: ;drop table", b"X-Real-IP: 10.0.0.1"],
    [b"Forwarded: for=10.0.0.1;proto=https;host=admin"],
    [
        b"Forwarded: for=10.0.0.1;proto=https;host=admin",
        b"X-Forwarded-For: 8.8.8.8",
        b"X-Forwarded-Host: admin",
    ],
    [b"X-Forwarded-Proto: https", b"X-Forwarded-Host: admin"],
]


@pytest.mark.parametrize("lines", FORGED, ids=range(len(FORGED)))
def test_a_stranger_is_not_believed_about_addresses(gateway: Gateway, lines: list[bytes]) -> None:
    # T-B04, T-B05
    seen = gateway.accepts(get(b"/x", *lines))
    assert _reported(seen) == (b"127.0.0.1", b"127.0.0.1", b"http", b"a.test")
    assert b"forwarded" not in seen.names


def _reported(seen: Seen) -> tuple[bytes, ...]:
    names = (b"x-forwarded-for", b"x-real-ip", b"x-forwarded-proto", b"x-forwarded-host")
    return tuple(b"|".join(seen.values(name)) for name in names)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway behind trusted proxies, this host among them."""
    trusted = ("127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32")
    with running(tmp_path_factory.mktemp("node"), open_snapshot(trusted_proxies=trusted)) as started:
        yield started


BELIEVED = [
    ([b"X-Forwarded-For: 8.8.8.8"], b"8.8.8.8"),
    ([b"X-Forwarded-For: 1.1.1.1, 8.8.8.8"], b"8.8.8.8"),
    ([b"X-Forwarded-For: 1.1.1.1", b"X-Forwarded-For: 8.8.8.8"], b"8.8.8.8"),
    ([b"X-Forwarded-For: 1.1.1.1, 8.8.8.8, 10.0.0.1"], b"8.8.8.8"),
    ([b"X-Forwarded-For: 8.8.8.8:4711"], b"8.8.8.8"),
    ([b"X-Forwarded-For: 2606:4700::1111"], b"2606:4700::1111"),
    ([b"X-Forwarded-For: [2606:4700::1111]:80"], b"2606:4700::1111"),
    ([b"X-Forwarded-For: 2606:4700:0::1111"], b"2606:4700::1111"),
    ([b"X-Forwarded-For: ::ffff:8.8.8.8"], b"8.8.8.8"),
    ([b"X-Forwarded-For: 8.8.8.8, 2001:db8::7"], b"8.8.8.8"),
    ([b"X-Forwarded-For: 8.8.8.8, garbage"], b"127.0.0.1"),
    ([b"X-Forwarded-For: garbage, 10.0.0.2"], b"10.0.0.2"),
    ([b"X-Forwarded-For: unknown"], b"127.0.0.1"),
    ([b"X-Forwarded-For: 8.8.8.8%eth0"], b"127.0.0.1"),
    ([b"X-Forwarded-For: 010.8.8.8"], b"127.0.0.1"),
    ([b"X-Forwarded-For: 134744072"], b"127.0.0.1"),
    ([b"X-Forwarded-For: "], b"127.0.0.1"),
    ([b"X-Forwarded-For: ,,"], b"127.0.0.1"),
    ([b"X-Forwarded-For: \xff8.8.8.8"], b"127.0.0.1"),
    ([b"X-Forwarded-For: " + b", ".join([b"8.8.8.8"] + [b"10.0.0.1"] * 40)], b"10.0.0.1"),
    ([b"Forwarded: for=8.8.8.8"], b"127.0.0.1"),
    ([b"X-Real-IP: 8.8.8.8"], b"127.0.0.1"),
]


@pytest.mark.parametrize(("lines", "client"), BELIEVED, ids=range(len(BELIEVED)))
def test_behind_trusted_proxies_the_client_is_the_last_that_none_vouches_for(
    behind: Gateway, lines: list[bytes], client: bytes
) -> None:
    behind.settle()
    with behind.connect() as connection:
        connection.send(get(b"/x", *lines))
        assert connection.read().status == 200
    behind.upstream.settle()
    seen = behind.upstream.requests[-1]
    assert seen.values(b"x-real-ip") == [client]
    (chain,) = seen.values(b"x-forwarded-for")
    assert all(canonical_ip(hop) for hop in chain.decode().split(", ")), chain
    assert behind.record().client_ip == client.decode()


@pytest.mark.parametrize(
    ("lines", "proto", "host"),
    [
        ([b"X-Forwarded-Proto: https", b"X-Forwarded-Host: shop.test"], b"https", b"shop.test"),
        ([b"X-Forwarded-Proto: http, https"], b"https", b"a.test"),
        ([b"X-Forwarded-Proto: gopher", b"X-Forwarded-Host: a@b"], b"http", b"a.test"),
        ([b"X-Forwarded-Proto: https\xa0", b"X-Forwarded-Host: "], b"http", b"a.test"),
        ([b"Forwarded: for=8.8.8.8;proto=https;host=admin"], b"http", b"a.test"),
    ],
)
def test_scheme_and_host_are_taken_from_the_configured_family_alone(
    behind: Gateway, lines: list[bytes], proto: bytes, host: bytes
) -> None:
    behind.settle()
    with behind.connect() as connection:
        connection.send(get(b"/x", *lines))
        assert connection.read().status == 200
    behind.upstream.settle()
    assert _reported(behind.upstream.requests[-1])[2:] == (proto, host)
    assert behind.record().host == "a.test"  # what is routed is what Host says


@pytest.mark.parametrize(
    ("value", "client", "proto"),
    [
        (b"for=8.8.8.8;proto=https;host=shop.test", b"8.8.8.8", b"https"),
        (b'for="[2606:4700::1111]:4711"', b"2606:4700::1111", b"http"),
        (b"for=1.1.1.1, for=8.8.8.8;proto=https", b"8.8.8.8", b"https"),
        (b"FOR=8.8.8.8;Proto=HTTPS", b"8.8.8.8", b"https"),
        (b"for=_hidden", b"127.0.0.1", b"http"),
        (b"for=unknown, for=10.0.0.3", b"10.0.0.3", b"http"),
        (b'for="8.8.8.8', b"127.0.0.1", b"http"),
        (b'for="8.8.8.8, evil"', b"127.0.0.1", b"http"),
        (b"for=8.8.8.8;for=9.9.9.9", b"127.0.0.1", b"http"),
        (b"garbage", b"127.0.0.1", b"http"),
        (b"", b"127.0.0.1", b"http"),
    ],
)
def test_the_other_family_when_it_is_configured(
    behind_forwarded: Gateway, value: bytes, client: bytes, proto: bytes
) -> None:
    behind_forwarded.settle()
    with behind_forwarded.connect() as connection:
        connection.send(get(b"/x", b"Forwarded: " + value, b"X-Forwarded-For: 7.7.7.7"))
        assert connection.read().status == 200
    behind_forwarded.upstream.settle()
    seen = behind_forwarded.upstream.requests[-1]
    assert b"7.7.7.7" not in seen.raw
    assert (seen.values(b"x-real-ip"), seen.values(b"x-forwarded-proto")) == ([client], [proto])


@pytest.fixture(scope="module")
def behind_forwarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway behind trusted proxies that speak RFC 7239."""
    snapshot = open_snapshot(trusted_proxies=("127.0.0.0/8", "10.0.0.0/8"), forwarded_header="forwarded")
    with running(tmp_path_factory.mktemp("node"), snapshot) as started:
        yield started


BAD_HOSTS = [
    b"a@b", b"a:80:80", b"a, b", b"a\xff.b", b"[::1]x", b"[::1", b"::1", b"[::g]", b"[]", b"a b", b"a/b",
    b"a?b", b"a#b", b"a\\b", b"a:", b"a:x", b"a:65536", b"a:999999", b"a:-1", b".a", b"a..b", b".", b"..",
    b"-", b"\xc3\xa4.test", "\uff41.test".encode(), b"a%2eb", b"a;b", b"*", b"*.test", b"http://a.test",
    b"a.test/admin", b"a.test,b.test", b"user:pass@a.test", b"a\tb", b"a" * 256, b"[::1]:x",
    b"[::ffff:1.2.3.4%eth0]", b'"a.test"', b"(a)",
]  # fmt: skip


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_malformed_host_is_refused(gateway: Gateway, host: bytes) -> None:
    # T-B08
    assert gateway.refuses(get(b"/x", host=host)).code == "bad-host"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (head(b"GET", b"/x", host=b""), "bad-host"),
        (head(b"GET", b"/x", b"Host:", host=b""), "bad-host"),
        (head(b"GET", b"/x", b"Host: a.test", host=b"a.test"), "duplicate-host"),
        (head(b"GET", b"/x", b"Host: b.test", host=b"a.test"), "duplicate-host"),
        (head(b"GET", b"/x", b"HOST: b.test", host=b"a.test"), "duplicate-host"),
        (head(b"GET", b"/x", b"Host:", b"Host: a.test", host=b""), "duplicate-host"),
        (head(b"GET", b"/x", b"Host:", host=b"a.test"), "duplicate-host"),
        (get(b"/x", host=b"a\x00.b"), "malformed-request"),
        (get(b"/x", host=b"a\x0bb"), "malformed-request"),
        (get(b"http://b.test/x"), "host-mismatch"),
        (get(b"http://a.test@evil.test/x"), "host-mismatch"),
        (get(b"http://a.test:80:80/x"), "host-mismatch"),
        (head(b"GET", b"http://a.test/x", host=b""), "bad-host"),
    ],
)
def test_a_host_that_is_not_one_host_is_refused(gateway: Gateway, payload: bytes, code: str) -> None:
    assert gateway.refuses(payload).code == code


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        (b"A.TEST", b"a.test"),
        (b"a.test.", b"a.test"),
        (b"a.test:80", b"a.test:80"),
        (b"A.test.:8080", b"a.test:8080"),
        (b"[::1]", b"[::1]"),
        (b"[::1]:80", b"[::1]:80"),
        (b"127.0.0.1", b"127.0.0.1"),
        (b"xn--mnchen-3ya.test", b"xn--mnchen-3ya.test"),
        (b"a_b.test", b"a_b.test"),
        (b"XN--MNCHEN-3YA.test:443", b"xn--mnchen-3ya.test:443"),
    ],
)
def test_every_spelling_of_a_host_is_one_host(gateway: Gateway, host: bytes, canonical: bytes) -> None:
    assert gateway.accepts(get(b"/x", host=host)).values(b"x-forwarded-host") == [canonical]


@pytest.mark.parametrize("host", [b"a.test", b"a.test:8080", b"[::1]:8080"])
def test_a_preserved_host_keeps_its_port(tmp_path: Path, host: bytes) -> None:
    routes = (Route("all", "open", upstream="recorder", preserve_host=True),)
    with running(tmp_path / "node", open_snapshot(routes=routes)) as gateway:
        for _ in range(3):  # the third time the head is remembered
            assert gateway.accepts(get(b"/x", host=host)).values(b"host") == [host]


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A route for one role, and nothing for anybody else."""
    route = Route("users", "roles", headers=(ValueMatch("x-role", "user"),), upstream="recorder")
    snapshot = open_snapshot(routes=(route,), upstreams=(Upstream("recorder"),))
    with running(tmp_path_factory.mktemp("node"), snapshot) as started:
        yield started


@pytest.mark.parametrize(
    "lines",
    [
        [b"X-Role: user", b"X-Role: admin"],
        [b"X-Role: admin", b"X-Role: user"],
        [b"X-Role: user,admin"],
        [b"X-Role: user, admin"],
        [b"X-Role: user", b"x-role: user"],
        [b"X-Role:"],
        [b"X-Role: User"],
        [],
    ],
)
def test_a_condition_sees_all_lines_of_a_header_as_one_value(roles: Gateway, lines: list[bytes]) -> None:
    # T-B07
    assert roles.accepts(get(b"/x", b"X-Role: user")).values(b"x-role") == [b"user"]
    before = roles.upstream.bytes
    with roles.connect() as client:
        client.send(get(b"/x", *lines))
        assert client.read().status == 404
    roles.upstream.settle()
    assert roles.upstream.bytes == before


@pytest.mark.parametrize(
    "value",
    [
        b"x" * 129,
        b"x" * 8000,
        b"a b",
        b"\xff",
        b"<script>",
        b"'; drop table",
        b"a,b",
        b"",
        b"../../etc/passwd",
        b"%0a",
        b"{}",
    ],
)
def test_a_request_id_is_ours_unless_it_is_harmless_and_trusted(
    gateway: Gateway, behind: Gateway, value: bytes
) -> None:
    # T-B12
    for instance in (gateway, behind):
        seen = instance.accepts(get(b"/x", b"X-Request-Id: " + value))
        (sent,) = seen.values(b"x-request-id")
        assert sent != value and len(sent) == 24 and sent.isalnum()
    assert gateway.accepts(get(b"/x", b"X-Request-Id: mine")).values(b"x-request-id") != [b"mine"]
    assert behind.accepts(get(b"/x", b"X-Request-Id: mine")).values(b"x-request-id") == [b"mine"]


@pytest.mark.parametrize("name", [b"X-Request-Id", b"traceparent", b"User-Agent"])
@pytest.mark.parametrize("value", [b"\x1b[2J", b"a\nb", b"a\rb", b"a\x00b", b"a\r\n b"])
def test_control_bytes_never_get_into_a_log(gateway: Gateway, name: bytes, value: bytes) -> None:
    # T-B12
    assert gateway.refuses(get(b"/x", name + b": " + value)).code == "malformed-request"


TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x" * 8000,
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"ff" + TRACE[2:],
        TRACE.upper(),
        TRACE + b"-x",
        b"garbage",
    ],
)
def test_a_malformed_traceparent_is_replaced(gateway: Gateway, value: bytes) -> None:
    # T-B12
    seen = gateway.accepts(get(b"/x", b"traceparent: " + value))
    (sent,) = seen.values(b"traceparent")
    assert sent != value and len(sent) == 55
    kept = gateway.accepts(get(b"/x", b"traceparent: " + TRACE)).values(b"traceparent")[0]
    assert kept.startswith(TRACE[:35]) and kept[36:52] != TRACE[36:52]


def test_a_million_distinct_ids_leave_no_trace_in_memory(gateway: Gateway) -> None:
    # T-B12: distinct lines fill the memory of lines and are forgotten; here enough of them to turn it over.
    with gateway.connect() as client:
        for number in range(60):
            lines = [b"X-N%d-%d: v" % (number, line) for line in range(95)]
            client.send(get(b"/x", b"X-Request-Id: id-%d" % number, *lines))
            assert client.read().status == 200
    gateway.records()


@pytest.mark.parametrize(
    "payload",
    [
        b"PROXY TCP4 127.0.0.1 127.0.0.1 5000 80\r\n" + get(b"/x"),
        b"PROXY UNKNOWN\r\n" + get(b"/x"),
        b"\r\n\r\n\x00\r\nQUIT\n" + b"\x21\x11\x00\x0c" + bytes(12) + get(b"/x"),
        b"\r\n\r\n\x00\r\nQUIT\n" + b"\x21\x11\xff\xff" + get(b"/x"),
    ],
)
@pytest.mark.parametrize("piece", [0, 1], ids=["whole", "bytes"])
def test_the_proxy_protocol_is_not_spoken_here(gateway: Gateway, payload: bytes, piece: int) -> None:
    # T-B11
    assert gateway.refuses(payload, piece=piece).code == "malformed-request"


def test_a_second_credential_is_not_lost_on_the_way(gateway: Gateway) -> None:
    # T-B09: both lines go on as they came; which one key-auth takes is its own rule (docs/policies).
    seen = gateway.accepts(get(b"/x", b"Authorization: a", b"Authorization: b"))
    assert seen.values(b"authorization") == [b"a", b"b"]
