"""HTTP/1.1 heads at the upstream side: the request's, written; the answer's, understood."""

from __future__ import annotations

import enum
import re

from proxy.exchange import Exchange, Header, UpstreamHead
from proxy.http.lines import BadLine, LineReader, Special


class UnsafeHeader(Exception):
    """A header to be sent holds a line break: sending it would let one request become two."""


def request_head(x: Exchange, default_host: bytes) -> bytes:
    """The request head for the upstream. Raises `UnsafeHeader` (threats T-A27)."""
    parts = [
        b"%s %s HTTP/1.1\r\nhost: %s\r\n"
        % (x.upstream_method or x.method, x.upstream_target or x.target, x.host_header or default_host)
    ]
    parts += [b"%s: %s\r\n" % pair for pair in x.forward]
    parts.append(
        b"x-forwarded-for: %s\r\nx-forwarded-proto: %s\r\nx-forwarded-host: %s\r\nx-real-ip: %s\r\n"
        b"x-request-id: %s\r\ntraceparent: %s\r\n"
        % (
            x.forwarded_for,
            x.forwarded_proto or x.scheme,
            x.forwarded_host or x.host,
            x.client_ip.encode(),
            x.request_id,
            x.traceparent,
        )
    )
    lines = len(x.forward) + 9
    if x.content_length is None:
        parts.append(b"transfer-encoding: chunked\r\n\r\n")
    elif x.content_length or x.method in _WITH_BODY:
        parts.append(b"content-length: %d\r\n\r\n" % x.content_length)
    elif x.websocket:
        parts.append(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
        lines += 1
    else:
        parts.append(b"\r\n")
        lines -= 1
    head = b"".join(parts)
    if head.count(b"\n") != lines + 1 or head.count(b"\r") != lines + 1:
        raise UnsafeHeader
    return head


_WITH_BODY = frozenset((b"POST", b"PUT", b"PATCH"))


class BadAnswer(Exception):
    """The upstream's head is ambiguous or malformed; its connection is not used again."""


class _Kind(enum.IntEnum):
    LENGTH = 1
    ENCODING = 2
    CONNECTION = 3
    DROP = 4


_LENGTH = int(_Kind.LENGTH)
LINES = LineReader(
    {
        b"content-length": _Kind.LENGTH,
        b"transfer-encoding": _Kind.ENCODING,
        b"connection": _Kind.CONNECTION,
        **dict.fromkeys(
            b"keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer upgrade "
            b"x-request-id".split(),
            _Kind.DROP,
        ),
    }
)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?")
_statuses: dict[bytes, tuple[int, bool]] = {}


class AnswerHead:
    """An answer's head as far as the transport is concerned.

    `keeps` says whether the connection may serve another call; `chunked` and `head.length` frame the body,
    with neither it ends where the connection does.
    """

    __slots__ = ("chunked", "head", "keeps")

    def __init__(self, head: UpstreamHead, chunked: bool, keeps: bool) -> None:
        self.head = head
        self.chunked = chunked
        self.keeps = keeps


def read_head(text: list[bytes]) -> AnswerHead:
    """Read the lines of an answer's head, the status line first. Raises `BadAnswer`."""
    status, keeps = _statuses.get(text[0]) or _status(text[0])
    remembered = LINES.remembered
    kept: list[Header] = []
    length: bytes | None = None
    others: list[Special] | None = None
    try:
        for index in range(1, len(text)):
            line = text[index]
            entry = remembered.get(line) or LINES.learn(line)
            if entry.__class__ is tuple:
                kept.append(entry)  # type: ignore[arg-type]
            elif entry.kind == _LENGTH and length is None:  # type: ignore[union-attr]
                length = entry.value  # type: ignore[union-attr]
            else:
                if others is None:
                    others = []
                others.append(entry)  # type: ignore[arg-type]
    except BadLine:
        raise BadAnswer("a header line is not well-formed") from None
    if length is not None and not length.isdigit() or len(length or b"") > 15:
        raise BadAnswer("a malformed Content-Length")
    answer = AnswerHead(UpstreamHead(status, kept, None if length is None else int(length)), False, keeps)
    if others is not None:
        _apply(answer, others)
    return answer


def _status(line: bytes) -> tuple[int, bool]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise BadAnswer("a malformed status line")
    result = (int(match[2]), match[1] == b"1")
    if len(_statuses) < 256 and len(line) < 64:
        _statuses[line] = result
    return result


def _apply(answer: AnswerHead, others: list[Special]) -> None:
    head = answer.head
    for entry in others:
        if entry.kind == _Kind.LENGTH:
            raise BadAnswer("more than one Content-Length")
        if entry.kind == _Kind.ENCODING:
            if answer.chunked or head.length is not None or entry.value.lower() != b"chunked":
                raise BadAnswer("an unknown or ambiguous Transfer-Encoding")
            answer.chunked = True
        elif entry.kind == _Kind.CONNECTION:
            value = entry.value.lower()
            if value == b"keep-alive":
                answer.keeps = True
                continue
            options = {option.strip(b" \t") for option in value.split(b",")}
            answer.keeps = b"close" not in options and (answer.keeps or b"keep-alive" in options)
            # RFC 9110 7.6.1: what Connection names is for us, not for the client.
            head.headers = [pair for pair in head.headers if pair[0] not in options]
