"""Section 3.A of the threat catalogue: where a request begins and ends, nobody disagrees about."""

from __future__ import annotations

import pytest

from tests.conformance.framing import REFUSED, TAKEN, Refused, Taken
from tests.conformance.gateway import HANDSHAKE, Gateway, chunked, get, head, post
from tests.conformance.recorder import echo

HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"http2-settings",
    b"expect", b"proxy-authorization",
}  # fmt: skip


def _name(case: Refused | Taken) -> str:
    return f"{case.threat}-{case.payload[:60]!r}"


@pytest.mark.parametrize("piece", [0, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("case", REFUSED, ids=[f"{n}-{c.threat}" for n, c in enumerate(REFUSED)])
def test_ambiguous_or_malformed_framing_is_refused_and_nothing_goes_upstream(
    gateway: Gateway, case: Refused, piece: int
) -> None:
    if piece and len(case.payload) > 8000:
        piece = 1000
    answer = gateway.refuses(case.payload, piece=piece, streamed=case.streamed)
    assert answer.status == case.status, (_name(case), answer)
    if answer.body:
        assert answer.code == case.code, _name(case)


@pytest.mark.parametrize("piece", [0, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("case", TAKEN, ids=[f"{n}-{c.threat}" for n, c in enumerate(TAKEN)])
def test_legal_framing_arrives_as_one_request_with_its_body(
    gateway: Gateway, case: Taken, piece: int
) -> None:
    seen = gateway.accepts(case.payload, piece=piece)
    assert seen.body == case.body
    websocket = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in case.payload and case.payload.startswith(
        b"GET"
    )
    assert websocket or not seen.names & HOP_BY_HOP
    lengths, codings = seen.values(b"content-length"), seen.values(b"transfer-encoding")
    assert len(lengths) + len(codings) <= 1
    assert codings in ([], [b"chunked"])


def test_a_request_without_a_length_is_not_read_until_the_connection_closes(gateway: Gateway) -> None:
    # T-A06: what follows is not its body; nothing says what it is, so it is refused as a request.
    gateway.settle()
    with gateway.connect() as client:
        client.send(
            head(b"POST", b"/one", b"Connection: keep-alive", version=b"HTTP/1.0") + b"not a request\r\n\r\n"
        )
        assert client.read().body == b"POST /one"
        assert client.read().code == "malformed-request"
        assert client.closed()
    gateway.upstream.settle()
    assert gateway.upstream.requests[-1].body == b""


def test_extensions_and_trailers_end_at_the_gateway(gateway: Gateway) -> None:
    # T-A11, T-A17: neither becomes part of the request that the upstream sees.
    trailers = b"X-Consumer-Id: admin\r\nAuthorization: admin\r\nHost: b.test\r\n"
    body = b"5;x-consumer-id=admin\r\nHello\r\n0\r\n" + trailers + b"\r\n"
    seen = gateway.accepts(chunked(body, b"Trailer: X-Consumer-Id"))
    assert seen.body == b"Hello"
    assert b"admin" not in seen.raw and b"b.test" not in seen.raw
    assert not seen.names & {b"trailer", b"x-consumer-id"}


def test_trailers_leave_the_connection_fit_for_the_next_request(gateway: Gateway) -> None:
    gateway.settle()
    with gateway.connect() as client:
        client.send(chunked(b"5\r\nHello\r\n0\r\nX-Trailer: y\r\n\r\n"))
        assert client.read().body == b"POST /x"
        client.send(get(b"/next"))
        assert client.read().body == b"GET /next"


def test_what_follows_a_chunked_body_is_never_guessed(gateway: Gateway) -> None:
    # T-A12: in one piece with the body's end it is dropped with the connection, or answered as what it is.
    gateway.settle()
    with gateway.connect() as client:
        client.send(chunked(b"5\r\nHello\r\n0\r\n\r\n") + get(b"/next"))
        assert client.read().body == b"POST /x"
        rest = client.rest()
    gateway.upstream.settle()
    assert rest == b""
    assert [seen.target for seen in gateway.upstream.requests][-1:] == [b"/x"]


def test_pipelined_requests_are_answered_in_order_though_the_first_is_slow(gateway: Gateway) -> None:
    # T-A24
    gateway.settle()
    gateway.upstream.answers[b"/slow"] = None
    with gateway.connect() as client:
        client.send(
            get(b"/slow") + get(b"/two") + post(b"Content-Length: 5", body=b"Hello", target=b"/three")
        )
        gateway.upstream.settle()
        while not gateway.upstream.held:
            gateway.upstream.settle()
        client.send(get(b"/four"))
        gateway.upstream.release()
        bodies = [client.read().body for _ in range(4)]
    assert bodies == [b"GET /slow", b"GET /two", b"POST /three", b"GET /four"]
    del gateway.upstream.answers[b"/slow"]


def test_no_answer_reaches_another_client(gateway: Gateway) -> None:
    # O2: many connections at once, each with a nonce of its own, several requests ahead.
    clients = [gateway.connect() for _ in range(40)]
    for number, client in enumerate(clients):
        client.send(b"".join(get(b"/nonce/%d/%d" % (number, turn)) for turn in range(10)))
    for number, client in enumerate(clients):
        for turn in range(10):
            assert client.read().body == b"GET /nonce/%d/%d" % (number, turn)
        client.sock.close()


def test_a_client_that_leaves_takes_its_answer_with_it(gateway: Gateway) -> None:
    # O2: the upstream connection of an aborted request is not used for the next one.
    gateway.settle()
    gateway.upstream.answers[b"/left"] = None
    client = gateway.connect()
    client.send(get(b"/left"))
    while not gateway.upstream.held:
        gateway.upstream.settle()
    client.reset()
    record = gateway.record()
    assert (record.code, record.status) == ("client-gone", 0)
    gateway.upstream.release()
    assert gateway.accepts(get(b"/after")).target == b"/after"
    del gateway.upstream.answers[b"/left"]


def test_an_early_upstream_answer_does_not_make_the_body_a_request(gateway: Gateway) -> None:
    # T-A19, T-A20: the upstream answers from the head alone.
    gateway.settle()
    gateway.upstream.early[b"/early"] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno"
    smuggled = get(b"/smuggled")
    with gateway.connect() as client:
        client.send(head(b"POST", b"/early", b"Content-Length: %d" % (10 + len(smuggled))) + b"0123456789")
        assert client.read().body == b"no"
        client.send(smuggled + get(b"/after"))
        assert client.read().body == b"GET /after"
    gateway.upstream.settle()
    assert b"/smuggled" not in {seen.target for seen in gateway.upstream.requests}
    del gateway.upstream.early[b"/early"]


@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"200 OK"])
def test_expect_answered_without_reading_gives_no_desync(gateway: Gateway, status: bytes) -> None:
    # T-A20: no hang, at most one 100; after it the body comes and is read as one, or the connection ends.
    gateway.settle()
    gateway.upstream.early[b"/expect"] = b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n"
    smuggled = get(b"/smuggled")
    with gateway.connect() as client:
        client.send(head(b"POST", b"/expect", b"Expect: 100-continue", b"Content-Length: %d" % len(smuggled)))
        answers = [client.read()]
        while answers[-1].status == 100:
            answers.append(client.read())
        assert len(answers) <= 2
        assert answers[-1].status == int(status[:3])
        client.send(smuggled + get(b"/after"))
        try:
            assert client.read().body == b"GET /after"
        except EOFError:
            pass
    gateway.upstream.settle()
    assert b"/smuggled" not in {seen.target for seen in gateway.upstream.requests}
    del gateway.upstream.early[b"/expect"]


def test_expect_gets_one_100_and_the_body_arrives(gateway: Gateway) -> None:
    gateway.settle()
    with gateway.connect() as client:
        client.send(head(b"POST", b"/x", b"Expect: 100-continue", b"Content-Length: 5"))
        assert client.read().status == 100
        client.send(b"Hello")
        assert client.read().body == b"POST /x"
        client.send(get(b"/next"))
        assert client.read().body == b"GET /next"


def test_no_tunnel_opens_unless_the_upstream_says_101(gateway: Gateway) -> None:
    # T-A21: the upstream answers 200; what was pipelined is a request like any other.
    gateway.settle()
    with gateway.connect() as client:
        client.send(get(b"/ws", *HANDSHAKE) + get(b"/second", b"X-Consumer-Id: admin"))
        assert client.read().body == b"GET /ws"
        assert client.read().body == b"GET /second"
    gateway.upstream.settle()
    assert gateway.upstream.requests[-1].target == b"/second"
    assert b"x-consumer-id" not in gateway.upstream.requests[-1].names


def test_an_upstream_that_switches_unasked_is_a_bad_gateway(gateway: Gateway) -> None:
    # T-A21, T-A22
    switched = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    gateway.upstream.answers[b"/switch"] = lambda seen: switched
    gateway.settle()
    with gateway.connect() as client:
        client.send(get(b"/switch", b"Connection: Upgrade", b"Upgrade: h2c"))
        assert client.read().status == 502
    gateway.upstream.answers[b"/switch"] = echo
