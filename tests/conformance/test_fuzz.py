"""Requests that are nearly right, made at random: the gateway answers or closes, and never fails."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.gateway import Gateway, get, llhttp_reads
from tests.conformance.recorder import Seen

STRINGS = Path(__file__).resolve().parents[3] / "shared" / "vectors" / "blns.json"
WORDS = [
    b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"get", b"TRACE", b"/", b"/x", b"//", b"/../", b"*",
    b"http://a.test/", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"Host", b"a.test", b"Content-Length",
    b"Transfer-Encoding", b"chunked", b"identity", b"Connection", b"close", b"keep-alive", b"Upgrade",
    b"websocket", b"Expect", b"100-continue", b"TE", b"Trailer", b"X-A", b"X_A", b"Forwarded",
    b"X-Forwarded-For", b"0", b"1", b"5", b"0005", b"a", b"ffffffff", b"-1", b":", b": ", b" ", b"\t",
    b",", b";", b"=", b'"', b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\x00", b"\x0b", b"\x85", b"\xa0", b"%2e",
    b"%2f", b"%00", b"%", b"?", b"#", b"\\", b"Hello", b"0\r\n\r\n", b"5\r\nHello\r\n",
]  # fmt: skip
WORD = st.one_of(st.sampled_from(WORDS), st.binary(min_size=1, max_size=6))
METHOD = st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"FOO"])
TARGET = st.lists(st.sampled_from([w for w in WORDS if b"\r" not in w and b"\n" not in w]), max_size=4).map(
    lambda parts: b"/" + b"".join(parts)
)
NAMES = [
    b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"Host", b"X-A", b"Upgrade",
    b"Forwarded", b"X-Forwarded-For", b"traceparent", b"X-Request-Id", b"Cookie", b"TE",
]  # fmt: skip
LINE = st.tuples(st.sampled_from(NAMES), st.sampled_from([b": ", b":", b" : ", b":\t"]), WORD).map(b"".join)
BODY = st.lists(
    st.sampled_from([b"Hello", b"0\r\n\r\n", b"5\r\nHello\r\n", b"5;x\r\nHello\r\n", b"\r\n", b"x"]),
    max_size=4,
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request with its framing right or nearly right, sometimes with a piece cut out or put in."""
    body = b"".join(draw(BODY))
    lines = draw(st.lists(LINE, max_size=4))
    framing = draw(st.sampled_from([b"", b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked"]))
    first = b"%b %b HTTP/1.1" % (draw(METHOD), draw(TARGET))
    data = b"\r\n".join([first, b"Host: a.test", *([framing] if framing else []), *lines, b"", body])
    if draw(st.booleans()):
        place = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 3))
        data = data[:place] + draw(WORD) + data[place + cut :]
    return data


NEARLY = st.one_of(requests(), requests(), st.lists(WORD, max_size=25).map(b"".join))


def check(gateway: Gateway, seen: list[Seen]) -> None:
    """What went upstream is requests, each the same for two parsers."""
    for one in seen:
        method, target, headers, body = llhttp_reads(one.raw)
        assert (method, target, body) == (one.method, one.target, one.body), one.raw
        assert sorted(headers) == sorted(one.headers)
        assert len(one.values(b"host")) == 1
    assert not any(connection.broken for connection in gateway.upstream.connections), "no HTTP went upstream"


@settings(
    max_examples=1200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=NEARLY, piece=st.sampled_from([0, 0, 1, 7]))
def test_whatever_comes_is_answered_or_closed(gateway: Gateway, data: bytes, piece: int) -> None:
    upstream = gateway.upstream
    before = len(upstream.requests)
    with gateway.connect() as client:
        client.send(data, piece)
        client.half_close()
        method = data.lstrip(b"\r\n").partition(b" ")[0]
        statuses = []
        while True:
            try:
                statuses.append(client.read(method).status)
            except EOFError as error:
                assert str(error) == "closed after b''", "a part of an answer"
                break
            if statuses[-1] >= 200:
                method = b"GET"
                if client.buffer.startswith(b"HTTP/1.1 ") is False and client.buffer:
                    break  # a HEAD further on: where its answer ends only its own request says
    assert not {500, 502, 503, 504} & set(statuses), statuses
    upstream.settle()
    check(gateway, upstream.requests[before:])


def naughty() -> list[bytes]:
    """The strings, as UTF-8."""
    if not STRINGS.exists():
        return []
    return [text.encode("utf-8", "surrogatepass") for text in json.loads(STRINGS.read_text())]


@pytest.mark.skipif(not STRINGS.exists(), reason="the public test vectors are not beside the repository")
@pytest.mark.parametrize(
    "place", ["header", "path", "query", "escaped path", "escaped query", "host", "agent"]
)
def test_naughty_strings_pass_unchanged_or_not_at_all(gateway: Gateway, place: str) -> None:
    gateway.settle()
    for text in naughty():
        escaped = quote(text, safe="").encode()
        payload = {
            "header": get(b"/x", b"X-Naughty: " + text),
            "agent": get(b"/x", b"User-Agent: " + text),
            "path": get(b"/" + text),
            "query": get(b"/x?" + text),
            "escaped path": get(b"/" + escaped),
            "escaped query": get(b"/x?q=" + escaped),
            "host": get(b"/x", host=text),
        }[place]
        before = len(gateway.upstream.requests)
        with gateway.connect() as client:
            client.send(payload)
            answer = client.read()
        gateway.upstream.settle()
        seen = gateway.upstream.requests[before:]
        check(gateway, seen)
        assert (answer.status, len(seen)) in ((200, 1), (400, 0), (414, 0), (431, 0), (505, 0)), (
            text,
            answer,
        )
        if seen and place == "header":
            assert seen[0].values(b"x-naughty") == [text.strip(b" \t")]
        if seen and place.endswith("query"):
            assert seen[0].target == payload.split(b" ")[1]
    gateway.records()
