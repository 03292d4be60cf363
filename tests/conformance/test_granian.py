"""The same inputs of section 3.A through the ASGI door under granian.

Its parser stands in front of ours, so what is malformed is mostly gone or mended before the edge sees it.
What counts is the end: no request that two readers could read in two ways, and none that nobody sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.conformance.framing import REFUSED, Refused
from tests.conformance.gateway import Gateway, get, llhttp_reads, open_snapshot, post, running

MENDED = {
    "T-A01": "Transfer-Encoding wins, Content-Length is taken away (RFC 9112 6.1 allows that)",
    "T-A03": "bare LF is taken for a line end, so a line of its own says `chunked`",
    "T-A07": "equal Content-Length lines are merged into one",
    "T-A10": "blanks after a chunk size are ignored",
    "T-A11": "chunk extensions may hold control bytes; they end at the server",
    "T-A12": "trailers may hold bare LF; they end at the server",
    "T-A13": "bare LF is taken for a line end",
    "T-A17": "trailers are dropped unread",
}
"""What granian takes that our own door refuses. It also drops the authority of a target in absolute form
(T-C09) before ASGI, so that Host alone is routed; no application behind it can see that they differed."""
NOT_APPLICABLE = {
    "T-B10": "client certificates are not asked for, so nothing is decided by SNI",
}
"""Rows about features that Tidegate does not have (PROXY protocol, T-B11, is refused: test_headers; HTTP/2,
T-A23, is spoken by granian alone: test_http2_downgrade)."""


@pytest.fixture(scope="module")
def granian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One open route behind granian."""
    pytest.importorskip("granian")
    with running(tmp_path_factory.mktemp("node"), open_snapshot(), "granian") as started:
        yield started


def _exchange(granian: Gateway, payload: bytes) -> bytes:
    """All that comes back, until it closes or nothing more comes."""
    with granian.connect(0.05) as client:
        client.send(payload)
        with contextlib.suppress(TimeoutError):
            return client.rest()
        return client.buffer


def _settle(granian: Gateway) -> None:
    granian.running.forget_records()
    granian.upstream.settle()


GROUPS = sorted({case.threat for case in REFUSED})


@pytest.mark.parametrize("threat", GROUPS)
def test_what_goes_upstream_is_one_request_or_nothing(granian: Gateway, threat: str) -> None:
    for case in REFUSED:
        if case.threat == threat:
            _one_or_nothing(granian, case)


def _one_or_nothing(granian: Gateway, case: Refused) -> None:
    _settle(granian)
    count = len(granian.upstream.requests)
    answer = _exchange(granian, case.payload)
    _settle(granian)
    seen = granian.upstream.requests[count:]
    assert len(seen) <= case.payload.count(b"HTTP/1."), case
    for one in seen:
        assert case.threat in MENDED, (case, one.raw)
        method, target, headers, body = llhttp_reads(one.raw)
        assert (method, target, body) == (one.method, one.target, one.body)
        assert sorted(headers) == sorted(one.headers)
        assert len(one.values(b"content-length")) + len(one.values(b"transfer-encoding")) <= 1
        assert b"GPOST" not in one.method
    assert seen or not answer.startswith(b"HTTP/1.1 2"), (case, answer)
    assert not any(connection.broken for connection in granian.upstream.connections)


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (get(b"/x", b"X_Consumer_Id: admin"), 400),
        (get(b"/x", host=b"a@b"), 400),
        (get(b"/x", b"Host: b.test"), 400),
        (get(b"/x/%2e%2e/%2e%2e/admin"), 400),
        (get(b"/x/%00"), 400),
        (get(b"/x\\..\\admin"), 400),
        (get(b"/x", *[b"X-%d: y" % number for number in range(101)]), 431),
        (post(b"Content-Length: 99999999999999"), 413),
        (post(b"Expect: 200-ok", b"Content-Length: 5", body=b"Hello"), 417),
        (b"TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    ],
)
def test_the_edge_is_the_same_behind_granian(granian: Gateway, payload: bytes, status: int) -> None:
    _settle(granian)
    before = granian.upstream.bytes
    with granian.connect() as client:
        client.send(payload)
        assert client.read().status == status
    _settle(granian)
    assert granian.upstream.bytes == before
