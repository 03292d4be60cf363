"""Heads towards and from services."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import pytest

from proxy.http.forwarded import origin_lines
from proxy.upstream import heads
from proxy.upstream.heads import BadAnswer, UnsafeHeader, read_head, request_head
from tests.builders import make_exchange

ORIGIN = origin_lines(b"1.2.3.4", b"1.2.3.4", b"http")


def lines(head: bytes) -> list[bytes]:
    """The lines of a request head."""
    assert head.endswith(b"\r\n\r\n")
    return head.split(b"\r\n")[:-2]


def test_a_request_says_where_it_comes_from() -> None:
    x = make_exchange("GET", "/a?b", {"Accept": "*/*"}, origin=ORIGIN, traceparent=b"00-a-b-01")
    assert lines(request_head(x, b"service:80")) == [
        b"GET /a?b HTTP/1.1",
        b"host: service:80",
        b"accept: */*",
        b"x-forwarded-host: api.example.test",
        b"x-forwarded-for: 1.2.3.4",
        b"x-real-ip: 1.2.3.4",
        b"x-forwarded-proto: http",
        b"x-request-id: 0123456789abcdef",
        b"traceparent: 00-a-b-01",
    ]


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        ({"content_length": 5}, b"content-length: 5"),
        ({"content_length": None}, b"transfer-encoding: chunked"),
        ({"websocket": True}, b"upgrade: websocket"),
        ({"host_header": b"other"}, b"host: other"),
        ({"upstream_method": b"PUT"}, b"PUT / HTTP/1.1"),
        ({"upstream_target": b"/x?y"}, b"GET /x?y HTTP/1.1"),
        ({"forwarded_host": b"front"}, b"x-forwarded-host: front"),
    ],
)
def test_what_policies_and_framing_change(attributes: dict[str, object], line: bytes) -> None:
    x = make_exchange(
        "GET",
        "/",
        origin=ORIGIN,
        **attributes,
    )
    assert line in lines(request_head(x, b"service"))


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"\r\n\r\nGET / HTTP/1.1"])
@pytest.mark.parametrize("memo", [None, {}])
@pytest.mark.parametrize(
    "place",
    [
        "value",
        "name",
        "host_header",
        "upstream_target",
        "upstream_method",
        "request_id",
        "traceparent",
        "origin",
    ],
)
def test_a_line_break_anywhere_is_refused(
    place: str, value: bytes, memo: dict[object, object] | None
) -> None:
    x = make_exchange("GET", "/", origin=ORIGIN, memo=memo)
    if memo is not None:
        request_head(x, b"service")
    if place == "value":
        x.forward = [(b"x", value)]
    elif place == "name":
        x.forward = [(value, b"x")]
    else:
        setattr(x, place, value)
    with pytest.raises(UnsafeHeader):
        request_head(x, b"service")


def test_a_remembered_head_has_its_own_lines_for_each_instance_and_change() -> None:
    memo: dict[object, object] = {}
    forward = make_exchange(headers={"a": "1"}).headers

    def ask(host: bytes = b"one", **changes: object) -> list[bytes]:
        x = make_exchange("GET", "/", origin=ORIGIN, memo=memo, **changes)
        x.forward = changes.get("forward", forward)  # type: ignore[assignment]
        return lines(request_head(x, host))

    for _ in range(2):
        assert ask()[:3] == [b"GET / HTTP/1.1", b"host: one", b"a: 1"]
        assert ask(b"two")[1] == b"host: two"
        assert ask(upstream_target=b"/x")[0] == b"GET /x HTTP/1.1"
        assert ask(upstream_method=b"PUT")[0] == b"PUT / HTTP/1.1"
        assert ask(host_header=b"other")[1] == b"host: other"
        assert ask(forward=[(b"b", b"2")])[2] == b"b: 2"
        assert b"x-request-id: r2" in ask(request_id=b"r2")


@pytest.mark.parametrize("again", range(2))
def test_an_answer_is_read_alike_the_second_time(again: int) -> None:
    head = read_head(
        b"HTTP/1.1 200 OK\r\nDATE: d\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\nContent-Length: 12"
    )
    assert (head.status, head.length, head.chunked, head.keeps) == (200, 12, False, True)
    assert head.headers == [(b"date", b"d"), (b"content-type", b"text/plain")]


@pytest.mark.parametrize("again", range(3))
@pytest.mark.parametrize("length", [b"", b"\r\ncontent-length: 2"])
def test_an_answer_without_a_date_gets_that_of_its_arrival(again: int, length: bytes) -> None:
    before = int(time.time())
    head = read_head(b"HTTP/1.1 200 OK\r\nx-date: never" + length)
    [date] = [value for name, value in head.headers if name == b"date"]
    assert before <= parsedate_to_datetime(date.decode()).timestamp() <= time.time()
    assert head.length == (2 if length else None)


def test_an_informational_answer_needs_no_date() -> None:
    assert read_head(b"HTTP/1.1 103 Early Hints\r\nlink: </a>").headers == [(b"link", b"</a>")]


@pytest.mark.parametrize("again", range(2))
@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK",
        b"Content-Type: a\r\nContent-Type: a",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1x",
        b"HTTP/1.1 200 OK\r\n a: b",
        b"HTTP/1.1 200 OK\r\na: b\r\n\tc",
        b"HTTP/1.1 200 OK\r\na",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1  200 OK",
        b"",
    ],
)
def test_malformed_answers(text: bytes, again: int) -> None:
    read_head(b"HTTP/1.1 200 OK\r\nContent-Type: a\r\ncontent-length: 1")
    with pytest.raises(BadAnswer):
        read_head(text)


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nconnection: close", False),
        (b"HTTP/1.1 200 OK\r\nconnection: Close, x-a", False),
        (b"HTTP/1.1 200 OK\r\nconnection: keep-alive", True),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive, x-a", True),
    ],
)
def test_who_keeps_the_connection(text: bytes, keeps: bool) -> None:
    assert read_head(text).keeps is keeps


def test_what_connection_names_is_for_the_gateway() -> None:
    head = read_head(
        b"HTTP/1.1 200 OK\r\nconnection: close, X-Secret\r\nx-secret: 1\r\nx-public: 2\r\nupgrade: h2c"
    )
    assert head.headers == [(b"x-public", b"2")]


def test_a_status_without_a_reason() -> None:
    assert read_head(b"HTTP/1.1 200").status == 200
    assert read_head(b"HTTP/1.1 200 ").status == 200


def test_memory_is_bounded() -> None:
    for number in range(20_000):
        read_head(b"HTTP/1.1 200 OK\r\nx-number: %d" % number)
    assert len(heads._blocks) <= heads.REMEMBERED + 2
