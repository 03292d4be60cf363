"""Trace Context as the specification has it, and request ids that nobody can smuggle anything into."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.telemetry.trace import accept_request_id, child, parse, request_id

ROOT = Path(__file__).resolve().parents[3]
TRACE, PARENT = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
VALID = b"00-" + TRACE + b"-" + PARENT + b"-01"
SHAPE = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (VALID, 1),
        (VALID[:-2] + b"00", 0),
        (VALID[:-2] + b"ff", 255),
        (b"01" + VALID[2:], 1),
        (b"cc" + VALID[2:] + b"-what-the-future-will-be-like", 1),
        (b"fe" + VALID[2:] + b"-", 1),
    ],
)
def test_valid_values(value: bytes, flags: int) -> None:
    assert parse(value) == (TRACE, PARENT, flags)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"ff" + VALID[2:],
        b"0" + VALID[2:],
        b"000" + VALID[2:],
        b"0x" + VALID[2:],
        VALID.upper(),
        VALID + b"-",
        VALID + b"-01",
        VALID + b"\n",
        VALID + b" ",
        b" " + VALID,
        VALID[:-1],
        VALID[:-3],
        VALID + b"0",
        b"01" + VALID[2:] + b".more",
        b"01" + VALID[2:] + b"0",
        VALID.replace(b"-", b"_"),
        VALID.replace(TRACE, b"0" * 32),
        VALID.replace(PARENT, b"0" * 16),
        VALID.replace(TRACE, TRACE[:-1]),
        VALID.replace(TRACE, TRACE + b"0"),
        VALID.replace(PARENT, b"g" * 16),
        VALID.replace(TRACE, b"\xff" * 32),
        b"A" * 10_000,
        VALID + b", " + VALID,
    ],
)
def test_invalid_values_are_ignored(value: bytes) -> None:
    assert parse(value) is None
    fresh = child(value)
    assert SHAPE.fullmatch(fresh)
    assert TRACE not in fresh


def test_a_child_stays_in_the_trace_with_a_span_of_its_own() -> None:
    trace_id, span_id, flags = parse(child(VALID)) or (b"", b"", -1)
    assert (trace_id, flags) == (TRACE, 1)
    assert span_id != PARENT


@pytest.mark.parametrize(("given", "sent"), [(b"00", 0), (b"01", 1), (b"02", 2), (b"03", 3), (b"fd", 1)])
def test_flags_without_a_meaning_are_not_sent_on(given: bytes, sent: int) -> None:
    parsed = parse(child(VALID[:-2] + given))
    assert parsed is not None
    assert parsed[2] == sent


def test_a_child_of_a_later_version_speaks_version_00() -> None:
    assert SHAPE.fullmatch(child(b"cc" + VALID[2:] + b"-more"))


@pytest.mark.parametrize("value", [None, b""])
def test_without_a_caller_a_sampled_trace_begins(value: bytes | None) -> None:
    first, second = child(value), child(value)
    assert first != second
    parsed = parse(first)
    assert parsed is not None
    assert parsed[2] == 1


def test_request_ids_are_unique_over_processes() -> None:
    script = (
        "from proxy.telemetry.trace import request_id\nfor _ in range(5000): print(request_id().decode())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    own = [request_id() for _ in range(5000)]
    every = {*own, *runs[0], *runs[1]}
    assert len(every) == 15_000
    assert all(16 <= len(each) <= 26 and accept_request_id(each) == each for each in every)


@pytest.mark.parametrize("value", [b"a", b"A-1_".replace(b"_", b"."), b"x" * 128, b"urn:uuid:1-2.3_4"])
def test_a_harmless_request_id_is_kept(value: bytes) -> None:
    assert accept_request_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x" * 129,
        b"a b",
        b"a\n",
        b"a\r\nSet-Cookie: x",
        b"\x1b[2J",
        b"<script>",
        b"\xc3\xbc",
        b"a,b",
        b'a"',
    ],
)
def test_a_request_id_that_could_harm_is_not(value: bytes) -> None:
    assert accept_request_id(value) is None
