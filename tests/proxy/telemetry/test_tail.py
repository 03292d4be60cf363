"""Following the spool: the last ones first, then every new one once."""

from pathlib import Path

import msgspec
import pytest

from proxy.telemetry.record import CLIENT_ABORT, TrafficRecord
from proxy.telemetry.spool import Spool, segments
from proxy.telemetry.tail import LOOK_BACK, Tail, line, printable, status_filter
from tests.proxy.telemetry.test_spool import RECORD


def record(number: int, **changes: object) -> TrafficRecord:
    return msgspec.structs.replace(RECORD, request_id=f"r{number}", time=1000.0 + number, **changes)


def ids(records: list[TrafficRecord]) -> list[str]:
    return [each.request_id for each in records]


@pytest.mark.parametrize("count", [0, 1, 5, 100, 5000])
def test_the_last_over_slots_and_segments_by_time(tmp_path: Path, count: int) -> None:
    spools = [Spool(tmp_path, node="n", slot=slot, segment_bytes=4096) for slot in range(2)]
    for number in range(120):
        spools[number % 2].append(record(number))
    tail = Tail(tmp_path)
    expected = [f"r{number}" for number in range(120)][-count:] if count else []
    assert ids(tail.last(count)) == expected
    assert tail.new() == []
    for spool in spools:
        spool.close()


def test_every_new_record_comes_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n", slot=0, segment_bytes=4096)
    for number in range(30):
        spool.append(record(number))
    tail = Tail(tmp_path)
    seen = ids(tail.last(2))
    for number in range(30, 90):
        spool.append(record(number))
        if number % 7 == 0:
            seen += ids(tail.new())
    spool.close()
    seen += ids(tail.new())
    assert seen == [f"r{number}" for number in range(28, 90)]
    assert tail.new() == []


def test_a_worker_that_starts_later_is_seen(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    assert tail.last(5) == []
    spool = Spool(tmp_path, node="n", slot=4)
    spool.append(record(1))
    assert ids(tail.new()) == ["r1"]
    spool.close()


def test_ingested_segments_are_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n", slot=0, segment_bytes=4096)
    for number in range(60):
        spool.append(record(number))
    tail = Tail(tmp_path)
    tail.last(1)
    for segment in segments(tmp_path):
        if segment.sealed:
            segment.path.unlink()
    assert tail.new() == []
    spool.append(record(60))
    assert ids(tail.new()) == ["r60"]
    spool.close()


def test_a_filter_looks_back_a_bounded_way(tmp_path: Path) -> None:
    spool = Spool(tmp_path, node="n", slot=0, segment_bytes=4096)
    spool.append(record(0, status=404))
    while len(segments(tmp_path)) < LOOK_BACK + 2:
        spool.append(record(1))
    spool.append(record(2, status=404))
    tail = Tail(tmp_path, lambda each: each.status == 404)
    assert ids(tail.last(5)) == ["r2"]
    spool.close()


def test_a_corrupt_segment_does_not_stop_it(tmp_path: Path) -> None:
    (tmp_path / "n-0-1-000001.seg").write_bytes(b"\xff" * 64)
    spool = Spool(tmp_path, node="n", slot=0)
    spool.append(record(1))
    tail = Tail(tmp_path)
    assert ids(tail.last(5)) == ["r1"]
    assert tail.new() == []
    spool.close()


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("404", [404], [400, 40, 0]),
        ("4xx", [400, 499], [399, 500, 4]),
        ("5XX", [503], [404]),
        ("0", [0], [200]),
    ],
)
def test_status_filters(text: str, yes: list[int], no: list[int]) -> None:
    fits = status_filter(text)
    assert all(fits(status) for status in yes)
    assert not any(fits(status) for status in no)


@pytest.mark.parametrize("text", ["", "abc", "4x", "xxx", "-1", "9xx", "4044", "²", "4 4"])
def test_other_status_filters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no status"):
        status_filter(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text ü", "plain text ü"),
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp", "\\u202egnp"),
        ("\x7f\x00", "\\x7f\\x00"),
    ],
)
def test_nothing_reaches_the_terminal_that_could_steer_it(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_line_says_what_matters_and_leaves_out_what_is_empty() -> None:
    shown = line(RECORD, "10:00:00.000")
    assert shown == (
        "10:00:00.000 200 GET api.example.com/orders/%C3%BC 1.5ms 42B 192.0.2.1 route=orders/orders-read "
        "app=app plan=gold target=10.0.0.1:80 upstream=1.2ms id=r0"
    )
    refused = record(1, status=429, code="rate-limited", policy="rate-limit", rule="per-app", app="")
    assert "code=rate-limited policy=rate-limit rule=per-app" in line(refused, "now")
    assert "app=" not in line(refused, "now")


def test_a_line_of_an_aborted_request() -> None:
    shown = line(record(1, status=0, state=CLIENT_ABORT, host="\x1b]0;x\x07"), "now")
    assert shown.startswith("now --- GET \\x1b]0;x\\x07")
    assert "state=client_abort" in shown
