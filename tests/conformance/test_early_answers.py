"""T-A19: the gateway answers before the body is there; what is left of it never becomes a request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.config.snapshot import PathMatch, Policy, Route
from tests.conformance.gateway import Gateway, get, head, open_snapshot, running

SMUGGLED = get(b"/open/smuggled")
CONFIG = open_snapshot(
    routes=(
        Route("open", "shop", path=PathMatch("prefix", "/open"), upstream="recorder"),
        Route("shut", "shop", path=PathMatch("prefix", "/shut"), upstream="recorder"),
        Route("key", "shop", path=PathMatch("prefix", "/key"), upstream="recorder"),
    ),
    policies=(
        Policy("request-termination", "shut", scope="route", subject="shut", config={"status": 429}),
        Policy("key-auth", "key", scope="route", subject="key"),
    ),
)


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Routes that are refused before the body, and an open one."""
    with running(tmp_path_factory.mktemp("node"), CONFIG) as started:
        yield started


@pytest.mark.parametrize(("target", "status"), [(b"/shut", 429), (b"/key", 401), (b"/nowhere", 404)])
@pytest.mark.parametrize("filler", [0, 1000, 100_000, 5_000_000])
@pytest.mark.parametrize("late", [True, False], ids=["body after the answer", "body with the head"])
def test_the_rest_of_a_body_is_never_a_request(
    early: Gateway, target: bytes, status: int, filler: int, late: bool
) -> None:
    early.settle()
    before = early.upstream.bytes
    body = bytes(filler) + SMUGGLED
    with early.connect() as client:
        client.send(head(b"POST", target, b"Content-Length: %d" % len(body)))
        if not late:
            client.send(body)
        assert client.read().status == status
        if late:
            client.send(body)
        try:
            client.send(get(b"/open/second"))
            assert client.read().body == b"GET /open/second"
        except EOFError:
            pass
    early.upstream.settle()
    fresh = early.upstream.bytes - before
    assert all(seen.target != b"/open/smuggled" for seen in early.upstream.requests)
    assert fresh == 0 or early.upstream.requests[-1].target == b"/open/second"


@pytest.mark.parametrize("target", [b"/shut", b"/key", b"/nowhere"])
def test_after_a_chunked_body_nobody_waits_for_the_connection_ends(early: Gateway, target: bytes) -> None:
    early.settle()
    before = early.upstream.bytes
    with early.connect() as client:
        client.send(head(b"POST", target, b"Transfer-Encoding: chunked") + b"%x\r\n" % len(SMUGGLED))
        assert client.read().status >= 400
        client.send(SMUGGLED + b"\r\n0\r\n\r\n" + SMUGGLED)
        assert client.closed()
    early.upstream.settle()
    assert early.upstream.bytes == before


def test_a_small_body_is_drained_and_the_connection_kept(early: Gateway) -> None:
    with early.connect() as client:
        for _ in range(3):
            client.send(head(b"POST", b"/shut", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED)
            assert client.read().status == 429
        client.send(get(b"/open/second"))
        assert client.read().body == b"GET /open/second"
    early.upstream.settle()
    assert all(seen.target != b"/open/smuggled" for seen in early.upstream.requests)


def test_bodies_that_are_drained_do_not_add_up(early: Gateway) -> None:
    body = bytes(30_000)
    with early.connect() as client:
        for _ in range(50):
            client.send(head(b"POST", b"/shut", b"Content-Length: %d" % (2 * len(body))) + body)
            assert client.read().status == 429
            client.send(body)
        client.send(get(b"/open/second"))
        assert client.read().body == b"GET /open/second"
