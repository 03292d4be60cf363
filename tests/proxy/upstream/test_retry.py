"""What may be sent again."""

from __future__ import annotations

import pytest

from proxy.upstream.retry import RESERVE, RetryBudget, may_repeat
from proxy.upstream.transport import Cause, Failure
from tests.builders import make_exchange


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_idempotent_requests_without_a_body_are_repeated_after_a_loss(method: str) -> None:
    assert may_repeat(make_exchange(method), Failure(Cause.BROKEN, sent=True))


@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK", "get"])
def test_others_are_repeated_only_if_nothing_was_sent(method: str) -> None:
    assert not may_repeat(make_exchange(method), Failure(Cause.STALE, sent=True))
    assert may_repeat(make_exchange(method), Failure(Cause.CONNECT, sent=False))


def test_the_method_that_goes_upstream_counts() -> None:
    x = make_exchange("GET", upstream_method=b"POST")
    assert not may_repeat(x, Failure(Cause.BROKEN, sent=True))


def test_a_body_that_was_given_away_is_not_there_again() -> None:
    assert not may_repeat(make_exchange("PUT", content_length=5), Failure(Cause.BROKEN, sent=True))
    assert not may_repeat(make_exchange("PUT", content_length=None), Failure(Cause.BROKEN, sent=True))
    x = make_exchange("PUT", content_length=5, body_forwarded=True)
    assert not may_repeat(x, Failure(Cause.CONNECT, sent=False))


@pytest.mark.parametrize(
    "cause", [Cause.TIMEOUT, Cause.PROTOCOL, Cause.FULL, Cause.NO_INSTANCE, Cause.UNSAFE]
)
def test_some_failures_are_final(cause: Cause) -> None:
    assert not may_repeat(make_exchange("GET"), Failure(cause, sent=False))


@pytest.mark.parametrize("state", ["answered", "finished"])
def test_nothing_is_repeated_after_an_answer(state: str) -> None:
    assert not may_repeat(make_exchange("GET", **{state: True}), Failure(Cause.CONNECT, sent=False))


def test_the_budget_is_a_share_of_the_requests() -> None:
    budget = RetryBudget(0.2)
    spent = sum(budget.spend(requests) for requests in range(1, 1001))
    assert 200 <= spent <= 200 + RESERVE


def test_a_quiet_time_saves_up_no_storm() -> None:
    budget = RetryBudget(0.2)
    assert sum(budget.spend(1_000_000) for _ in range(100)) == RESERVE


def test_no_share_is_no_retry() -> None:
    assert not RetryBudget(0.0).spend(1000)
