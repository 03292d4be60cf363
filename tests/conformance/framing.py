"""Inputs of section 3.A (framing and desync): what is refused, and what must come through whole."""

from __future__ import annotations

from typing import NamedTuple

from tests.conformance.gateway import HANDSHAKE, chunked, get, head, post


class Refused(NamedTuple):
    """A payload, and the status and code of its refusal; `streamed` if only its body is malformed."""

    threat: str
    payload: bytes
    status: int
    code: str
    streamed: bool = False


TE = b"Transfer-Encoding: "
CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"GPOST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 15\r\n\r\nx=1\r\n0\r\n\r\n"
MALFORMED = (400, "malformed-request")
BODY = (400, "malformed-body", True)
LENGTH = (400, "bad-content-length")


def _a01_a02() -> list[Refused]:
    payloads = [
        ("T-A01", post(b"Content-Length: 6", CHUNKED, body=b"0\r\n\r\nG")),
        ("T-A01", post(CHUNKED, b"Content-Length: 6", body=b"0\r\n\r\nG")),
        ("T-A01", post(CHUNKED, b"Content-Length: 0", body=b"0\r\n\r\n")),
        ("T-A01", head(b"GET", b"/x", CHUNKED, b"Content-Length: 5") + b"0\r\n\r\n"),
        ("T-A02", post(b"Content-Length: 4", CHUNKED, body=b"5c\r\n" + SMUGGLED)),
        ("T-A02", post(b"content-length: 4", b"transfer-encoding: CHUNKED", body=b"5c\r\n" + SMUGGLED)),
    ]
    return [Refused(threat, payload, 400, "ambiguous-length") for threat, payload in payloads]


OBFUSCATED = [
    (b"xchunked", 501), (b",chunked", 501), (b"chunked,", 501), (b'"chunked"', 501),
    (b"\xa0chunked\xa0", 501), (b"\xa0chunked", 501), (b"chunked\xa0", 501), (b"identity, chunked", 501),
    (b"chunked, identity", 501), (b"gzip, chunked", 501), (b"chunkedchunked", 501), (b"identity", 501),
    (b"chunked;q=1", 501), ("\u017fhunked".encode(), 501), ("chun\u212aed".encode(), 501), (b"", 501),
    (b"chunked chunked", 501), (b"\x0bchunked", 400), (b"chunked\x0b", 400), (b"\x0cchunked", 400),
    (b"\x00chunked", 400), (b"chunked\x00", 400), (b"chunked\x85", 501),
]  # fmt: skip
BROKEN_ENCODING_LINES = [
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b"Transfer-Encoding\t:chunked",
    b"Transfer-\r\nEncoding: chunked", b" Transfer-Encoding: chunked", b"\tTransfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\n chunked", b"Transfer\x00-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked", b"Transfer-Encoding",
    b"Transfer-Encoding\x85: chunked", b"\xefTransfer-Encoding: chunked",
]  # fmt: skip


def _a03_a06() -> list[Refused]:
    cases = []
    for value, status in OBFUSCATED:
        code = "transfer-encoding-not-supported" if status == 501 else "malformed-request"
        cases.append(Refused("T-A03", post(TE + value, body=b"0\r\n\r\n"), status, code))
        code = "ambiguous-length" if status == 501 else "malformed-request"
        with_length = post(TE + value, b"Content-Length: 5", body=b"0\r\n\r\n")
        cases.append(Refused("T-A03", with_length, 400, code))
    for line in BROKEN_ENCODING_LINES:
        cases.append(Refused("T-A03", post(line, body=b"0\r\n\r\n"), *MALFORMED))
        cases.append(Refused("T-A03", post(line, b"Content-Length: 5", body=b"0\r\n\r\n"), *MALFORMED))
    twice = (400, "bad-transfer-encoding")
    old = head(b"POST", b"/", CHUNKED, version=b"HTTP/1.0") + b"0\r\n\r\n"
    cases += [
        Refused("T-A04", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), *twice),
        Refused("T-A04", post(CHUNKED, TE + b"identity", body=b"0\r\n\r\n"), *twice),
        Refused("T-A04", post(TE, CHUNKED, body=b"0\r\n\r\n"), *twice),
        Refused("T-A05", post(TE + b"blegh", body=b"0\r\n\r\n"), 501, "transfer-encoding-not-supported"),
        Refused("T-A06", old, *twice),
        Refused(
            "T-A06", head(b"POST", b"/", CHUNKED, b"Connection: keep-alive", version=b"HTTP/1.0"), *twice
        ),
    ]
    return cases


LENGTHS = [
    b"+5", b"-5", b"-0", b"0x5", b"1_0", b"5 5", b"", b"1e1", "\u0665".encode(), "\uff15".encode(), b"5,5",
    b"5, 5", b"5,", b",5", b"5;", b"5.0", b"0b101", b"0o5", b"five", b'"5"', b"\xa05", b"5\xa0", b"\xb2",
    b"18446744073709551617", b"18446744073709551621", b"9" * 400, b"1" + b"0" * 5000,
]  # fmt: skip


def _a07_a09() -> list[Refused]:
    cases = [Refused("T-A08", post(b"Content-Length: " + v, body=b"Hello"), *LENGTH) for v in LENGTHS]
    cases += [
        Refused("T-A08", post(b"Content-Length: " + v, body=b"Hello"), *MALFORMED)
        for v in (b"5\x00", b"\x0b5", b"5\x0c", b"5\x1f")
    ]
    pairs = [(b"5", b"5"), (b"5", b"6"), (b"", b"43"), (b"0", b"5"), (b"5", b"0"), (b"43", b"")]
    for first, second in pairs:
        lines = b"Content-Length: " + first, b"Content-Length: " + second
        cases.append(Refused("T-A07", post(*lines, body=b"Hello"), *LENGTH))
    apart = post(b"Content-Length: 5", b"X: y", b"content-length: 5", body=b"Hello")
    cases.append(Refused("T-A07", apart, *LENGTH))
    cases.append(Refused("T-A09", post(b"Content-Length: 99999999999999"), 413, "body-too-large"))
    cases.append(Refused("T-A09", post(b"Content-Length: 10485761"), 413, "body-too-large"))
    return cases


SIZES = [
    b"0_2e", b"+2", b"-1", b"0x2", b" 2", b"\t2", b"2 ", b"2\t", b"", b"Z", b"F" * 17, b"1" + b"0" * 16,
    b"2 2", b"\xef\xbc\x92", b"2\x00", b"\x0b2", b"2\x0b", b"2,", b"2 ;x",
]  # fmt: skip
CHUNK_TRICKS = [
    b"5;a=b\r\rX\r\nHello\r\n0\r\n\r\n",
    b"5\r\r;x\r\nHello\r\n0\r\n\r\n",
    b"5;\nxx\r\nHello\r\n0\r\n\r\n",
    b"5\nHello\r\n0\r\n\r\n",
    b"5\rHello\r\n0\r\n\r\n",
    b"5\r\nHello\n0\r\n\r\n",
    b"5\r\nHello\r0\r\n\r\n",
    b"5\r\nHello0\r\n\r\n",
    b'5;a="b\nc"\r\nHello\r\n0\r\n\r\n',
    b'5;a="b\x00c"\r\nHello\r\n0\r\n\r\n',
    b"5;a=\x0b\r\nHello\r\n0\r\n\r\n",
    b"5;" + b"x" * 20_000 + b"\r\nHello\r\n0\r\n\r\n",
    b"5;" + b"x" * 1_000_000 + b"\r\nHello\r\n0\r\n\r\n",
    (b"1;" + b"x" * 100 + b"\r\nH\r\n") * 1000 + b"0\r\n\r\n",
    (b"1;abcdefghijklmnopqrstuvwxyz0123\r\nH\r\n") * 4000 + b"0\r\n\r\n",
]
CHUNK_ENDS = [
    b"0\r\nX:POST / HTTP/1.1\n\r\n\r\n",
    b"5\r\nABCDEXX0\r\n\r\n",
    b"5\r\nABCDE\r\nXX0\r\n\r\n",
    b"5\r\nABCDEF\r\n0\r\n\r\n",
    b"5\r\nABCD\r\n0\r\n\r\n",
    b"0\r\n\rX",
    b"0\r\n\nX",
    b"0\n\r\n",
    b"0\rX",
    b"00\r\n : x\r\n\r\n",
    b"0\r\nno colon\r\n\r\n",
    b"0\r\nX : y\r\n\r\n",
    b"0\r\nX: y\r\n folded\r\n\r\n",
    b"0\r\nX: a\x00b\r\n\r\n",
    b"0\r\n\xef: x\r\n\r\n",
]


def _a10_a12() -> list[Refused]:
    sizes = [chunked(size + b"\r\nab\r\n0\r\n\r\n") for size in SIZES]
    cases = [Refused("T-A10", payload, *BODY) for payload in sizes]
    cases += [Refused("T-A11", chunked(body), *BODY) for body in CHUNK_TRICKS]
    cases += [Refused("T-A12", chunked(body), *BODY) for body in CHUNK_ENDS]
    trailers = b"".join(b"X-%d: y\r\n" % number for number in range(101))
    cases.append(Refused("T-A17", chunked(b"0\r\n" + trailers + b"\r\n"), *BODY))
    many = b"X: y\r\n" * 100_000
    cases.append(Refused("T-A17", chunked(b"0\r\n" + many + b"\r\n"), *BODY))
    for line in (b"Content-Length: 0", b"Content-Length: 5", b"Transfer-Encoding: chunked"):
        cases.append(Refused("T-A17", chunked(b"0\r\n" + line + b"\r\n\r\n"), *BODY))
    cases.append(Refused("T-A17", chunked(b"0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), *BODY))
    return cases


LINE_ENDS = [
    b"GET / HTTP/1.1\nHost: a.test\n\n",
    b"GET / HTTP/1.1\nHost: a.test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\nX: y\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\nX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\n\nGET /b HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"GET / HTTP/1.1\rHost: a.test\r\r",
    b"GET / HTTP/1.1\rHost: a.test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\rX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\rX: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\rX\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\r\n\r\n",
    b"GET / HTTP/1.1\r\r\nHost: a.test\r\n\r\n",
    b"\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"\rGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"\r\n\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
]
HEADER_LINES = [
    ("T-A14", b"X: a\r\n b"), ("T-A14", b"X: a\r\n\tb"), ("T-A14", b"X: a\r\n "),
    ("T-A14", b"no colon here"), ("T-A14", b": x"), ("T-A14", b":"), ("T-A14", b" X: y"),
    ("T-A14", b"\tX: y"), ("T-A14", b"X"), ("T-A14", b"Host : a.test"), ("T-A15", b"Content-Length : 5"),
    ("T-A15", b"Content-Length\t: 5"), ("T-A15", b"Content-Length\x85: 5"),
    ("T-A15", b"Content-Length\xa0: 5"), ("T-A15", b"\xefoo: x"), ("T-A15", b"Content-Length\x0b: 5"),
    ("T-A15", b"X(y): z"), ("T-A15", b"X y: z"), ("T-A15", b"X/y: z"), ("T-A15", b"X@y: z"),
    ("T-A15", b"X[y]: z"), ("T-A15", b'"X": z'), ("T-A15", b"X{: z"), ("T-A15", b"X=: z"),
    ("T-A15", b"X\x00: z"), ("T-A15", b"X\x7f: z"), ("T-A15", "X\u2010Y: z".encode()),
]  # fmt: skip
CONTROLS = [b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x1c", b"\x1d", b"\x1e", b"\x1f", b"\x7f"]


def _a13_a16() -> list[Refused]:
    cases = [Refused("T-A13", payload, *MALFORMED) for payload in LINE_ENDS]
    first_folded = b"GET / HTTP/1.1\r\n Host: a.test\r\nX: y\r\n\r\n"
    cases += [
        Refused("T-A14", b"GET / HTTP/1.1\r\nHost: a.test\r\n b\r\n\r\n", *MALFORMED),
        Refused("T-A14", first_folded, *MALFORMED),
        Refused("T-A14", b"GET / HTTP/1.1\r\n\tHost: a.test\r\n\r\n", *MALFORMED),
    ]
    for threat, line in HEADER_LINES:
        cases.append(Refused(threat, get(b"/x", line), *MALFORMED))
        if threat == "T-A15":
            cases.append(Refused(threat, post(line, b"X: y", body=b"Hello"), *MALFORMED))
    for control in CONTROLS:
        line = b"X-A: 1" + control + b"X-Consumer-Id: admin"
        cases.append(Refused("T-A16", get(b"/x", line), *MALFORMED))
        cases.append(Refused("T-A16", get(b"/x", *HANDSHAKE, line), *MALFORMED))
        cases.append(Refused("T-A16", get(b"/x", b"X-A: " + control), *MALFORMED))
        cases.append(Refused("T-A16", get(b"/x", b"X-A: 1" + control), *MALFORMED))
    return cases


def _a26() -> list[Refused]:
    def line(text: bytes) -> bytes:
        return text + b"\r\nHost: a.test\r\n\r\n"

    malformed = [
        b"GET /", b"GET", b"GET / ", b"GET /\nHTTP/1.1", b"get / HTTP/1.1", b"Get / HTTP/1.1",
        b'G=":<> /x HTTP/1.1', b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1", b"GET\t/\tHTTP/1.1", b"GET / x HTTP/1.1", b"GET / http/1.1",
        b"GET / HTTP/1.32", b"GET / HTTP/4294967295.255", b"GET / HTTP/1", b"GET / HTTP/1.",
        b"GET / HTTP/.1", b"GET / HTTP/01.1", b"GET / HTTP/1.1x", b"GET / HTTPS/1.1", b"GET / HTTP /1.1",
        b"GET\x00 / HTTP/1.1", b"GET\x0b/ HTTP/1.1",
        b"GET /\x0bHTTP/1.1", "\uff27ET / HTTP/1.1".encode(), b"G\xcbT / HTTP/1.1", b"123 / HTTP/1.1",
        b"GE-T / HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-client",
        b"/ GET HTTP/1.1", b"HTTP/1.1 200 OK",
    ]  # fmt: skip
    versions = [b"GET / HTTP/0.9", b"GET / HTTP/1.2", b"GET / HTTP/2.0", b"GET / HTTP/3.0", b"GET / HTTP/9.9"]
    methods = [
        b"TRACE / HTTP/1.1", b"CONNECT a.test:80 HTTP/1.1", b"CONNECT / HTTP/1.1", b"TRACK / HTTP/1.1",
        b"FOO / HTTP/1.1", b"DEBUG / HTTP/1.1", b"GETGET / HTTP/1.1", b"GPOST / HTTP/1.1",
        b"M" * 64 + b" / HTTP/1.1",
    ]  # fmt: skip
    cases = [Refused("T-A26", line(text), *MALFORMED) for text in malformed]
    paths = [b"GET /\x00 HTTP/1.1", b"GET /\x80 HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET /\x1b[2J HTTP/1.1"]
    cases += [Refused("T-A26", line(text), 400, "bad-path") for text in paths]
    cases += [Refused("T-A26", line(text), 505, "version-not-supported") for text in versions]
    cases += [Refused("T-A26", line(text), 405, "method-not-supported") for text in methods]
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    cases.append(Refused("T-A26", preface, 505, "version-not-supported"))
    early = b"CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n" + get(b"/early")
    cases.append(Refused("T-A21", early, 405, "method-not-supported"))
    return cases


def _a20() -> list[Refused]:
    values = [b"y 100-continue", b"100-continue, x", b"200-ok", b"", b"100-continue;q=1", b"100-continu\xe9"]
    return [
        Refused(
            "T-A20", post(b"Expect: " + value, b"Content-Length: 5", body=b"Hello"), 417, "expectation-failed"
        )
        for value in values
    ]


REFUSED = [*_a01_a02(), *_a03_a06(), *_a07_a09(), *_a10_a12(), *_a13_a16(), *_a20(), *_a26()]


class Taken(NamedTuple):
    """A payload that is legal, and the body that must arrive."""

    threat: str
    payload: bytes
    body: bytes = b""


def _with_body(method: bytes) -> list[Taken]:
    return [
        Taken("T-A18", head(method, b"/x", b"Content-Length: 5") + b"Hello", b"Hello"),
        Taken("T-A18", head(method, b"/x", CHUNKED) + b"5\r\nHello\r\n0\r\n\r\n", b"Hello"),
        Taken("T-A18", head(method, b"/x", b"Content-Length: 0")),
    ]


TAKEN = [
    Taken("T-A03", post(TE + b"Chunked", body=b"5\r\nHello\r\n0\r\n\r\n"), b"Hello"),
    Taken("T-A03", post(TE + b" CHUNKED\t ", body=b"5\r\nHello\r\n0\r\n\r\n"), b"Hello"),
    Taken("T-A06", head(b"POST", b"/x", version=b"HTTP/1.0")),
    Taken("T-A06", head(b"POST", b"/x", b"Content-Length: 5", version=b"HTTP/1.0") + b"Hello", b"Hello"),
    Taken("T-A06", post()),
    Taken("T-A08", post(b"Content-Length: 010", body=b"HelloWorld"), b"HelloWorld"),
    Taken("T-A08", post(b"Content-Length:\t5 ", body=b"Hello"), b"Hello"),
    Taken("T-A10", chunked(b"00005\r\nHello\r\n0A\r\nHelloWorld\r\n0000\r\n\r\n"), b"HelloHelloWorld"),
    Taken("T-A11", chunked(b'5;a=b;c="d"\r\nHello\r\n0;last\r\n\r\n'), b"Hello"),
    Taken("T-A12", chunked(b"0\r\nX:POST / HTTP/1.1\r\n\r\n")),
    Taken("T-A13", b"\r\n" + get()),
    Taken("T-A16", get(b"/x", b"X-A: \x85admin\xa0")),
    Taken("T-A20", post(b"Expect: 100-continue", b"Content-Length: 5", body=b"Hello"), b"Hello"),
    Taken("T-A20", post(b"Expect: 100-Continue", CHUNKED, body=b"5\r\nHello\r\n0\r\n\r\n"), b"Hello"),
    Taken("T-A20", post(b"Expect: 100-continue")),
    Taken(
        "T-A22",
        get(b"/x", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
    ),
    Taken("T-A22", get(b"/x", b"Connection: Upgrade", b"Upgrade: h2c")),
    Taken("T-A22", get(b"/x", b"Connection: Upgrade", b"Upgrade: TLS/1.0")),
    Taken("T-A22", get(b"/x", b"Connection: Upgrade", b"Upgrade: websocket, h2c")),
    Taken("T-A22", get(b"/x", b"Upgrade: websocket")),
    Taken(
        "T-A22",
        post(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"Hello"),
        b"Hello",
    ),
    *[
        case
        for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PUT", b"PATCH", b"POST", b"QUERY")
        for case in _with_body(method)
    ],
]
