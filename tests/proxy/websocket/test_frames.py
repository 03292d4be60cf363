"""Frames as they pass: boundaries wherever the bytes are cut, and every rule that ends a connection."""

from __future__ import annotations

import random

import pytest
from websockets.frames import Close, Frame, Opcode

from proxy.websocket.frames import (
    GOING_AWAY,
    MOST_FRAGMENTS,
    NO_CODE,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TOO_LARGE,
    FrameStream,
    close_frame,
    control_frame,
    sendable,
)

LIMIT = 100_000


def client(limit: int = LIMIT) -> FrameStream:
    return FrameStream(masked=True, limit=limit)


def server(limit: int = LIMIT) -> FrameStream:
    return FrameStream(masked=False, limit=limit)


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True, mask: bool = True) -> bytes:
    return bytes(Frame(opcode, data, fin).serialize(mask=mask))


def outcome(stream: FrameStream, data: bytes) -> int:
    """The Close code that these bytes lead to, 0 for none."""
    stream.feed(data)
    return stream.violation.code if stream.violation is not None else 0


CONVERSATION = b"".join(
    (
        frame(Opcode.TEXT, b"short"),
        frame(Opcode.PING, b"are you there"),
        frame(Opcode.BINARY, bytes(300)),
        frame(Opcode.TEXT, b"a" * 70_000, fin=False),
        frame(Opcode.PONG, b""),
        frame(Opcode.CONT, b"", fin=False),
        frame(Opcode.CONT, b"b" * 30_000),
        frame(Opcode.CLOSE, Close(4001, "enough").serialize()),
    )
)


@pytest.mark.parametrize("seed", range(20))
def test_everything_passes_unchanged_however_it_is_cut(seed: int) -> None:
    cut = random.Random(seed)
    stream = client()
    passed = b""
    position = 0
    while position < len(CONVERSATION):
        size = cut.choice((1, 2, 3, 7, 100, 5000, 50_000))
        passed += b"".join(stream.feed(CONVERSATION[position : position + size]))
        position += size
    assert passed == CONVERSATION
    assert stream.violation is None
    assert stream.close_code == 4001
    assert stream.pings == 1
    assert stream.left == 0


def test_whole_frames_pass_without_a_copy() -> None:
    data = frame(Opcode.TEXT, b"one") + frame(Opcode.TEXT, b"two")
    assert client().feed(data)[0] is data


def test_left_is_what_is_missing_of_a_frame() -> None:
    stream = client()
    data = frame(Opcode.BINARY, bytes(1000))
    stream.feed(data[:-300])
    assert stream.left == 300
    stream.feed(data[-300:])
    assert stream.left == 0


def test_a_control_frame_passes_whole_or_not_yet() -> None:
    stream = client()
    data = frame(Opcode.PING, b"x" * 100)
    assert stream.feed(data[:50]) == []
    assert stream.feed(data[50:]) == [data]


def test_the_answer_to_our_own_ping_does_not_pass() -> None:
    stream = client()
    stream.own_ping = b"tg-1"
    ours, theirs = frame(Opcode.PONG, b"tg-1"), frame(Opcode.PONG, b"tg-2")
    text = frame(Opcode.TEXT, b"text")
    assert b"".join(stream.feed(text + ours + text + theirs)) == text + text + theirs
    assert stream.feed(ours) == []


def test_nothing_passes_after_close() -> None:
    stream = client()
    end = frame(Opcode.CLOSE, Close(1000, "").serialize())
    assert b"".join(stream.feed(end + frame(Opcode.TEXT, b"more"))) == end
    assert stream.feed(frame(Opcode.TEXT, b"more")) == []
    assert stream.close_code == 1000


def test_close_without_a_code() -> None:
    stream = server()
    stream.feed(frame(Opcode.CLOSE, mask=False))
    assert stream.close_code == NO_CODE


def test_what_stands_before_a_violation_passes() -> None:
    stream = client()
    good = frame(Opcode.TEXT, b"good")
    assert b"".join(stream.feed(good + frame(Opcode.TEXT, b"bad", mask=False))) == good
    assert stream.violation is not None and stream.violation.code == PROTOCOL_ERROR
    assert stream.feed(good) == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(Opcode.TEXT, b"x", mask=False), id="unmasked"),
        pytest.param(b"\xc1\x80\0\0\0\0", id="rsv1"),
        pytest.param(b"\xa1\x80\0\0\0\0", id="rsv2"),
        pytest.param(b"\x91\x80\0\0\0\0", id="rsv3"),
        *(pytest.param(bytes((0x80 | code, 0x80)) + bytes(4), id=f"opcode{code}") for code in (3, 7, 11, 15)),
        pytest.param(b"\x09\x80\0\0\0\0", id="fragmented ping"),
        pytest.param(b"\x89\xfe\x00\x7e" + bytes(130), id="long ping"),
        pytest.param(b"\x88\x81\0\0\0\0\x03", id="close of one byte"),
        pytest.param(frame(Opcode.CLOSE, (1005).to_bytes(2, "big")), id="close 1005"),
        pytest.param(frame(Opcode.CLOSE, (999).to_bytes(2, "big")), id="close 999"),
        pytest.param(frame(Opcode.CONT, b"x"), id="continuation of nothing"),
        pytest.param(
            frame(Opcode.TEXT, b"x", fin=False) + frame(Opcode.TEXT, b"x"), id="text within a message"
        ),
        pytest.param(b"\x82\xfe\x00\x05" + bytes(9), id="length not in its shortest form"),
        pytest.param(b"\x82\xff" + (65535).to_bytes(8, "big") + bytes(9), id="nor this one"),
    ],
)
def test_protocol_errors(data: bytes) -> None:
    assert outcome(client(), data) == PROTOCOL_ERROR


def test_server_frames_must_not_be_masked() -> None:
    assert outcome(server(), frame(Opcode.TEXT, b"x")) == PROTOCOL_ERROR


def test_a_claim_of_two_to_the_63_is_refused_before_the_mask_is_here() -> None:
    assert outcome(client(), b"\x82\xff" + (1 << 63).to_bytes(8, "big")) == TOO_LARGE


def test_the_limit_counts_all_fragments() -> None:
    part = frame(Opcode.CONT, b"x" * 400, fin=False)
    start = frame(Opcode.TEXT, b"x" * 200, fin=False)
    exact = frame(Opcode.CONT, b"x" * 400)
    stream = client(1000)
    assert outcome(stream, start + part + exact) == 0
    assert outcome(stream, frame(Opcode.TEXT, b"x" * 1000)) == 0
    assert outcome(stream, start + part + frame(Opcode.CONT, b"x" * 401)[:8]) == TOO_LARGE


def test_empty_fragments_end_too() -> None:
    stream = client()
    stream.feed(frame(Opcode.TEXT, b"", fin=False))
    assert outcome(stream, frame(Opcode.CONT, b"", fin=False) * (MOST_FRAGMENTS - 1)) == TOO_LARGE


def test_our_frames_are_what_the_other_side_expects() -> None:
    ping = control_frame(PING, b"hello", masked=True)
    stream = client()
    assert stream.feed(ping) == [ping]
    assert stream.pings == 1
    assert control_frame(PONG, b"hello", masked=False) == frame(Opcode.PONG, b"hello", mask=False)
    end = close_frame(GOING_AWAY, "é" * 100, masked=False)
    assert len(end) <= 127
    assert Close.parse(end[2:]).code == GOING_AWAY
    assert Close.parse(end[2:]).reason == "é" * 61


def test_codes_that_may_be_sent() -> None:
    codes = (999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 2999, 3000, 4999, 5000)
    assert [code for code in codes if sendable(code)] == [1000, 1003, 1007, 1014, 3000, 4999]
