"""HTTP/1.1 heads at the upstream side: the request's, written; the answer's, understood."""

from __future__ import annotations

import re

from proxy.exchange import Exchange, UpstreamHead
from proxy.http.date import http_date
from proxy.http.lines import BadLine, LineReader, Special

_WITH_CONTENT = frozenset((b"POST", b"PUT", b"PATCH"))
"""Their requests say so even if they have no content (RFC 9110 8.6)."""


class UnsafeHeader(Exception):
    """A header to be sent holds a line break: sending it would let one request become two."""


def request_head(x: Exchange, default_host: bytes) -> bytes:
    """The request head for the upstream. Raises `UnsafeHeader` (threats T-A27)."""
    memo, forward = x.memo, x.forward
    if memo is None:
        first = _first_lines(x, default_host)
    else:
        aim = (x.upstream_target, x.upstream_method, x.host_header)
        known = memo.get(default_host)
        if known is not None and known[0] is forward and known[1] == aim:
            first = known[2]
        else:
            first = _first_lines(x, default_host)
            memo[default_host] = forward, aim, first
    last = b"%bx-request-id: %b\r\ntraceparent: %b\r\n\r\n" % (x.origin, x.request_id, x.traceparent)
    if last.count(b"\n") != 6 or last.count(b"\r") != 6:
        raise UnsafeHeader
    return first + last


def _first_lines(x: Exchange, default_host: bytes) -> bytes:
    """All lines that follow from the client's head, the caller and the Instance."""
    block = b"".join([b"%b: %b\r\n" % pair for pair in x.forward])
    method = x.upstream_method or x.method
    plain = x.content_length == 0 and not x.websocket and method not in _WITH_CONTENT
    framing = b"" if plain else _framing(x)
    first = b"%b %b HTTP/1.1\r\nhost: %b\r\n%bx-forwarded-host: %b\r\n%b" % (
        method,
        x.upstream_target or x.target,
        x.host_header or default_host,
        block,
        x.forwarded_host or x.authority,
        framing,
    )
    lines = len(x.forward) + 3 + (framing.count(b"\n") if framing else 0)
    if first.count(b"\n") != lines or first.count(b"\r") != lines:
        raise UnsafeHeader
    return first


def _framing(x: Exchange) -> bytes:
    if x.content_length is None:
        return b"transfer-encoding: chunked\r\n"
    if x.websocket:
        return b"connection: upgrade\r\nupgrade: websocket\r\n"
    return b"content-length: %d\r\n" % x.content_length


class BadAnswer(Exception):
    """The upstream's head is ambiguous or malformed; its connection is not used again."""


# Plain numbers: reading a member of an enumeration costs more than all else that is done with it here.
_LENGTH, _ENCODING, _CONNECTION, _DROP = range(1, 5)
_DROPPED = (
    b"keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer upgrade x-request-id"
)
_KINDS = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _ENCODING,
    b"connection": _CONNECTION,
    **dict.fromkeys(_DROPPED.split(), _DROP),
}
LINES = LineReader(_KINDS)
MAX_HEADER_LINES = 100
MAX_HEAD_BYTES = 64 * 1024
BODILESS = frozenset((204, 304))
REMEMBERED = 4096
HEADS = 1024
HEAD_BYTES = 1024
_DATE = re.compile(rb"^date:", re.IGNORECASE | re.MULTILINE).search
_DIGITS = re.compile(rb"[0-9]{1,15}").fullmatch
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?")
_statuses: dict[bytes, tuple[int, bool]] = {}
_heads: dict[bytes, tuple[int, None, int | None, bytes, bool, bool, int]] = {}
"""Whole heads; a service that is asked often sends equal ones, at least within one second of its Date."""
_blocks: dict[bytes, bytes] = {b"": b""}
"""What a line contributes to the client's head: itself with its line end, or nothing. The empty line stands
for the status line, which is not a header even where it is repeated."""
_specials: dict[bytes, Special] = {}
"""The lines among them that say something about framing or the connection."""


def read_head(text: bytes) -> UpstreamHead:
    """Read an answer's head, the status line first. Raises `BadAnswer`."""
    known = _heads.get(text)
    if known is not None:
        return UpstreamHead(*known)
    lines = text.split(b"\r\n")
    if len(lines) > MAX_HEADER_LINES or len(text) > MAX_HEAD_BYTES:
        raise BadAnswer("the head is too large")
    first, lines[0] = lines[0], b""
    try:
        block = b"".join(map(_blocks.__getitem__, lines))
        status, keeps = _statuses[first]
    except KeyError:
        return _dated(_read_new(first, lines))
    head = UpstreamHead(status, None, None, block)
    head.keeps = keeps
    for special in filter(None, map(_specials.get, lines)):
        _apply(head, special)
    _measure(head)
    if _dated(head).block is block and len(text) <= HEAD_BYTES:
        if len(_heads) >= HEADS:
            _heads.clear()
        _heads[text] = (status, None, head.length, block, head.chunked, head.keeps, head.whole)
    return head


def _dated(head: UpstreamHead) -> UpstreamHead:
    """An answer whose service does not say when it was made says when it came (RFC 9110 6.6.1)."""
    if head.status >= 200 and head.block is not None and _DATE(head.block) is None:
        head.block += b"date: %b\r\n" % http_date()
    return head


def _measure(head: UpstreamHead) -> None:
    """Those of 500 and more are not so simple: they may be held against the Instance."""
    if head.length is not None and 200 <= head.status < 500 and head.status not in BODILESS:
        head.whole = head.length


def _read_new(first: bytes, lines: list[bytes]) -> UpstreamHead:
    """Read a head of which some lines are not remembered."""
    status, keeps = _statuses.get(first) or _status(first)
    if len(_blocks) > REMEMBERED:
        _blocks.clear()
        _blocks[b""] = b""
        _specials.clear()
        LINES.remembered.clear()
    block = []
    specials = []
    for line in lines[1:]:
        try:
            entry = LINES.remembered.get(line) or LINES.learn(line)
        except BadLine:
            raise BadAnswer("a header line is not well-formed") from None
        remembered = line in LINES.remembered
        if isinstance(entry, tuple):
            wire = line + b"\r\n"
            block.append(wire)
        else:
            wire = b""
            if _speaks(entry):
                specials.append(entry)
                if remembered:
                    _specials[line] = entry
        if remembered:
            _blocks[line] = wire
    head = UpstreamHead(status, None, None, b"".join(block))
    head.keeps = keeps
    for special in specials:
        _apply(head, special)
    _measure(head)
    return head


def _speaks(entry: Special) -> bool:
    """`Connection: keep-alive` says nothing that HTTP/1.1 does not say anyway."""
    return entry.kind != _DROP and not (entry.kind == _CONNECTION and entry.value.lower() == b"keep-alive")


def _status(line: bytes) -> tuple[int, bool]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise BadAnswer("a malformed status line")
    result = (int(match[2]), match[1] == b"1")
    if len(_statuses) < 256 and len(line) < 64:
        _statuses[line] = result
    return result


def _apply(head: UpstreamHead, entry: Special) -> None:
    """What a special line says of framing and connection."""
    kind, value = entry.kind, entry.value
    if kind == _LENGTH:
        if head.length is not None or head.chunked or not _DIGITS(value):
            raise BadAnswer("a malformed or ambiguous Content-Length")
        head.length = int(value)
    elif kind == _ENCODING:
        if head.chunked or head.length is not None or value.lower() != b"chunked":
            raise BadAnswer("an unknown or ambiguous Transfer-Encoding")
        head.chunked = True
    else:
        options = {option.strip(b" \t") for option in value.lower().split(b",")}
        head.keeps = b"close" not in options and (head.keeps or b"keep-alive" in options)
        if not options <= {b"close", b"keep-alive", b"upgrade", b""}:
            # RFC 9110 7.6.1: what Connection names is for us, not for the client.
            head.headers = [pair for pair in head.headers if pair[0] not in options]
