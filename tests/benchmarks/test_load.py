"""The outputs of the load generators are read right, errors above all."""

from __future__ import annotations

import pytest

from benchmarks.load import Load, parse_h2load, parse_wrk
from benchmarks.stage import Broken

WRK = """Running 2s test @ http://127.0.0.1:9100/x
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.10ms  210.12us   9.33ms   92.08%
    Req/Sec    29.27k     1.02k   30.90k    75.00%
  58312 requests in 2.00s, 18.35MB read
Requests/sec:  29147.61
Transfer/sec:      9.17MB
"""
H2LOAD = """starting benchmark...
finished in 2.00s, 5313.50 req/s, 1.24MB/s
requests: 10627 total, 10659 started, 10627 done, 10627 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 10627 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.48MB (2600000) total, 600KB (614400) headers (space savings 60.00%), 1.40MB (1468000) data
"""


def test_wrk_rate_and_requests() -> None:
    assert parse_wrk(WRK) == Load(29147.61, 58312, 0)


def test_wrk_errors_are_counted() -> None:
    broken = WRK.replace(
        "Requests/sec",
        "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 100\nRequests/sec",
    )
    assert parse_wrk(broken).errors == 110


def test_h2load_rate_and_requests() -> None:
    assert parse_h2load(H2LOAD) == Load(5313.5, 10627, 0)


def test_h2load_refusals_are_errors() -> None:
    refused = H2LOAD.replace("10627 2xx, 0 3xx, 0 4xx", "600 2xx, 0 3xx, 10027 4xx")
    assert parse_h2load(refused).errors == 10027


def test_h2load_requests_without_an_answer_are_errors() -> None:
    assert parse_h2load(H2LOAD.replace("0 failed, 0 errored", "7 failed, 7 errored")).errors == 7


@pytest.mark.parametrize("parse", [parse_wrk, parse_h2load])
def test_anything_else_is_said(parse: object) -> None:
    with pytest.raises(Broken, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:9100")  # type: ignore[operator]
