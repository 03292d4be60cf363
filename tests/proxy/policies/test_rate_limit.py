"""rate-limit: who is counted, what is said, and what happens without counters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from proxy.counters.base import CounterUnavailable, Limit, Verdict
from proxy.counters.memory import MemoryCounters
from proxy.exchange import Exchange, Response
from proxy.pipeline.policy import Invalid
from proxy.pipeline.services import Services
from proxy.policies.rate_limit import RateLimit
from tests.builders import by_name, make_exchange, make_identity, make_policy, refusal


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Broken:
    """Counters that cannot be reached."""

    immediate = True
    evictions = 0

    def hit(self, key: bytes, limit: Limit, cost: int = 1) -> Verdict:
        raise CounterUnavailable("gone")

    def hit_all(self, hits: list[tuple[bytes, Limit]], cost: int = 1) -> list[Verdict]:
        raise CounterUnavailable("gone")

    async def close(self) -> None:
        """Nothing to close."""


class Awaited:
    """Counters that answer later, as Redis does."""

    immediate = False
    evictions = 0

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def hit(self, key: bytes, limit: Limit, cost: int = 1) -> Verdict:
        await asyncio.sleep(0)
        verdict: Verdict = self.inner.hit(key, limit, cost)
        return verdict

    async def hit_all(self, hits: list[tuple[bytes, Limit]], cost: int = 1) -> list[Verdict]:
        await asyncio.sleep(0)
        verdicts: list[Verdict] = self.inner.hit_all(hits, cost)
        return verdicts

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counters(clock: Clock) -> MemoryCounters:
    return MemoryCounters(clock=clock)


def limiter(
    counters: Any,
    limits: list[dict[str, Any]] | None = None,
    *,
    label: str = "fair-use",
    enforce: bool = True,
    **config: Any,
) -> RateLimit:
    """A policy with those limits; six a minute if none are given."""
    data = {"limits": limits or [{"amount": 6, "period": "minute"}], **config}
    decoded = msgspec.convert(data, RateLimit.Config)
    decoded.check()
    services = Services(counters=counters, identities=None, monotonic=Clock())
    return RateLimit(decoded, services, label=label, enforce=enforce)


def call(
    policy: RateLimit, x: Exchange | None = None, **exchange: Any
) -> tuple[Response | None, dict[str, str]]:
    """One request: the answer, and the headers that go out whatever the answer."""
    x = x or make_exchange(**exchange)
    result = policy.on_request(x)
    if isinstance(result, Awaitable):

        async def wait() -> Response | None:
            return await result

        result = asyncio.run(wait())
    lines = [*x.added_headers(), *(result.headers if result is not None else [])]
    named = by_name(lines)
    assert all(len(values) == 1 for values in named.values()), "no header twice"
    return result, {name: values[0] for name, values in named.items()}


def series(policy: RateLimit, count: int, header: str = "ratelimit-remaining", **exchange: Any) -> list[int]:
    return [int(call(policy, **exchange)[1][header]) for _ in range(count)]


@pytest.mark.parametrize("by", ["ip", "consumer", "credential", "header", "route", "api"])
@pytest.mark.parametrize("algorithm", ["sliding-window", "fixed-window", "gcra"])
def test_six_a_minute_and_the_seventh(counters: MemoryCounters, by: str, algorithm: str) -> None:
    header = "x-tenant" if by == "header" else ""
    limits = [{"amount": 6, "period": "minute", "algorithm": algorithm}]
    policy = limiter(counters, limits, by=by, header=header)
    request = {"identity": make_identity(), "headers": {"X-Tenant": "acme"}}
    answers = [call(policy, **request) for _ in range(7)]
    assert [answer[0] is None for answer in answers] == [True] * 6 + [False]
    for name in ("ratelimit-remaining", "x-ratelimit-remaining-minute"):
        assert [answer[1][name] for answer in answers] == ["5", "4", "3", "2", "1", "0", "0"]
    for _, headers in answers:
        assert headers["ratelimit-limit"] == headers["x-ratelimit-limit-minute"] == "6"
        assert 0 <= int(headers["ratelimit-reset"]) <= 60
    refused, headers = answers[-1]
    response = refusal(refused)
    assert (response.status, response.code, response.rule) == (
        429,
        "rate-limit-exceeded",
        f"6/minute by {by}",
    )
    assert 1 <= int(headers["retry-after"]) <= 60
    assert "6 requests per minute" in response.detail


def test_retry_after_is_rounded_up_and_true(counters: MemoryCounters, clock: Clock) -> None:
    policy = limiter(counters, [{"amount": 1, "period": "minute", "algorithm": "fixed-window"}])
    call(policy)
    clock.now += 0.25
    assert call(policy)[1]["retry-after"] == "60"
    clock.now += 59.5
    assert call(policy)[1]["retry-after"] == "1"
    clock.now += 1
    assert call(policy)[0] is None


def test_several_limits_report_the_tightest(counters: MemoryCounters) -> None:
    limits = [{"amount": 99999, "period": "hour"}, {"amount": 6, "period": "minute"}]
    policy = limiter(counters, limits)
    _, headers = call(policy)
    assert headers["ratelimit-limit"] == "6"
    assert headers["ratelimit-remaining"] == "5"
    assert headers["x-ratelimit-limit-minute"] == "6"
    assert headers["x-ratelimit-limit-hour"] == "99999"
    assert headers["x-ratelimit-remaining-hour"] == "99998"


def test_a_refused_request_counts_against_no_limit(counters: MemoryCounters) -> None:
    policy = limiter(counters, [{"amount": 2, "period": "second"}, {"amount": 10, "period": "hour"}])
    assert series(policy, 6, "x-ratelimit-remaining-hour") == [9, 8, 8, 8, 8, 8]
    response = refusal(call(policy)[0])
    assert response.rule == "2/second by ip"


def test_two_policies_report_the_tighter_of_both(counters: MemoryCounters) -> None:
    wide = limiter(counters, [{"amount": 100, "period": "minute"}], label="wide")
    narrow = limiter(
        counters, [{"amount": 3, "period": "minute"}, {"amount": 50, "period": "day"}], label="narrow"
    )
    for policies in ((wide, narrow), (narrow, wide)):
        x = make_exchange()
        for policy in policies:
            _, headers = call(policy, x)
        assert headers["ratelimit-limit"] == headers["x-ratelimit-limit-minute"] == "3"
        assert headers["x-ratelimit-limit-day"] == "50"
        assert len(headers) == 7
    x = make_exchange()
    call(wide, x)
    call(narrow, x)
    x = make_exchange()
    call(wide, x)
    refused, headers = call(narrow, x)
    assert refusal(refused).rule == "3/minute by ip"
    assert headers["ratelimit-remaining"] == "0"


def test_the_refusing_policy_is_reported_even_if_another_is_at_zero(counters: MemoryCounters) -> None:
    first = limiter(counters, [{"amount": 1, "period": "second"}], label="first")
    second = limiter(counters, [{"amount": 1, "period": "hour"}], label="second", by="route")
    call(second)
    x = make_exchange()
    call(first, x)
    refused, headers = call(second, x)
    assert refusal(refused).rule == "1/hour by route"
    assert int(headers["ratelimit-reset"]) > 3000


@pytest.mark.parametrize(
    "limit", [{"amount": 6, "period": "minute"}, {"amount": 6, "period": "minute", "every": 5}]
)
def test_both_doors_write_the_same(counters: MemoryCounters, limit: dict[str, Any]) -> None:
    x = make_exchange()
    assert limiter(counters, [limit]).on_request(x) is None
    assert x.late is not None
    pairs = x.late.headers(x.late_of)
    assert len(pairs) == (3 if "every" in limit else 5)
    assert x.late.lines(x.late_of) == b"".join(b"%b: %b\r\n" % pair for pair in pairs)


def test_other_headers_of_the_answer_stay(counters: MemoryCounters) -> None:
    x = make_exchange()
    x.add_response_header(b"vary", b"origin")
    _, headers = call(limiter(counters), x)
    assert headers["vary"] == "origin"
    assert headers["ratelimit-remaining"] == "5"


def test_hidden_headers(counters: MemoryCounters) -> None:
    policy = limiter(counters, [{"amount": 1, "period": "minute"}], hide_headers=True)
    assert call(policy) == (None, {})
    refused, headers = call(policy)
    assert refusal(refused).status == 429
    assert headers == {}


def test_status_and_message_are_yours(counters: MemoryCounters) -> None:
    policy = limiter(counters, [{"amount": 1}], status=404, message="Fake Not Found")
    call(policy)
    response = refusal(call(policy)[0])
    assert (response.status, response.detail) == (404, "Fake Not Found")


def test_observe_counts_and_stays_silent(counters: MemoryCounters) -> None:
    policy = limiter(counters, [{"amount": 1}], enforce=False)
    assert call(policy) == (None, {})
    refused, headers = call(policy)
    assert refusal(refused).code == "rate-limit-exceeded", "the chain notes it and lets the request go on"
    assert headers == {}
    assert call(limiter(counters, [{"amount": 1}]))[0] is not None, "the counter ran"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:0DB8:0:1::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unix", "unix", True),
        ("unix", "", False),
    ],
)
def test_addresses(counters: MemoryCounters, first: str, second: str, same: bool) -> None:
    policy = limiter(counters, [{"amount": 1}], by="ip")
    assert call(policy, client_ip=first)[0] is None
    assert (call(policy, client_ip=second)[0] is not None) == same


def test_nobody_identified_counts_by_address(counters: MemoryCounters) -> None:
    for by in ("consumer", "credential"):
        policy = limiter(counters, [{"amount": 1}], by=by, label=by)
        assert call(policy, client_ip="192.0.2.1")[0] is None
        assert refusal(call(policy, client_ip="192.0.2.1")[0]).rule == "1/minute by ip"
        assert call(policy, client_ip="192.0.2.2")[0] is None
        assert call(policy, client_ip="192.0.2.1", identity=make_identity())[0] is None


def test_one_consumer_with_several_keys(counters: MemoryCounters) -> None:
    first, second = (make_identity(credential_id=name) for name in ("key-1", "key-2"))
    consumer = limiter(counters, by="consumer", label="consumer")
    credential = limiter(counters, by="credential", label="credential")
    assert [call(consumer, identity=who)[1]["ratelimit-remaining"] for who in (first, second)] == ["5", "4"]
    assert [call(credential, identity=who)[1]["ratelimit-remaining"] for who in (first, second)] == ["5", "5"]


def test_a_consumer_called_like_an_address_is_another(counters: MemoryCounters) -> None:
    policy = limiter(counters, by="consumer")
    assert series(policy, 1, client_ip="192.0.2.1") == [5]
    assert series(policy, 1, identity=make_identity(app_id="192.0.2.1")) == [5]


def test_by_header(counters: MemoryCounters) -> None:
    policy = limiter(counters, by="header", header="X-Tenant")
    long = "x" * 5000
    assert series(policy, 2, headers={"x-tenant": "a"}) == [5, 4]
    assert series(policy, 1, headers={"x-tenant": "b"}) == [5]
    assert series(policy, 2, headers={"x-tenant": long}) == [5, 4]
    assert series(policy, 1, headers={"x-tenant": long + "y"}) == [5]
    assert series(policy, 2) == [5, 4]
    assert series(policy, 1, headers={"x-tenant": ""}) == [3], "empty is none"
    assert all(len(value) <= 65 for value in policy._values)


def test_by_route_and_api(counters: MemoryCounters) -> None:
    route, api = (limiter(counters, by=by, label=by) for by in ("route", "api"))
    assert series(route, 2, route="a") == [5, 4]
    assert series(route, 1, route="b") == [5]
    assert series(api, 1, route="a") + series(api, 1, route="b") == [5, 4]
    assert series(api, 1, api="other") == [5]


def test_two_policies_count_apart_and_one_counts_over_routes(counters: MemoryCounters) -> None:
    first, second = limiter(counters, label="first"), limiter(counters, label="second")
    assert series(first, 2, route="a") == [5, 4]
    assert series(second, 1, route="b") == [5]
    assert series(first, 1, route="b") == [3]


def test_counters_survive_a_publish(counters: MemoryCounters) -> None:
    assert series(limiter(counters), 2) == [5, 4]
    assert series(limiter(counters), 1) == [3]
    assert series(limiter(counters, [{"amount": 10}]), 1) == [6]
    assert series(limiter(counters, [{"amount": 10, "period": "hour"}]), 1) == [9], (
        "another period is another"
    )


def test_callers_known_are_bounded(counters: MemoryCounters) -> None:
    policy = limiter(counters, by="ip")
    for number in range(10_000):
        call(policy, client_ip=f"10.1.{number >> 8}.{number & 255}")
    assert len(policy._addresses) <= 4096


def test_refuse_without_counters() -> None:
    for limits in ([{"amount": 5}], [{"amount": 5}, {"amount": 9, "period": "hour"}]):
        refused, headers = call(limiter(Broken(), limits))
        response = refusal(refused)
        assert (response.status, response.code) == (503, "rate-limit-unavailable")
        assert headers == {"retry-after": "1"}


def test_allow_without_counters() -> None:
    assert call(limiter(Broken(), on_unavailable="allow")) == (None, {})


def test_local_share_without_counters() -> None:
    policy = limiter(Broken(), [{"amount": 8}], on_unavailable="local", local_share=4)
    assert [call(policy)[0] is None for _ in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("limits", [[{"amount": 2}], [{"amount": 2}, {"amount": 9, "period": "day"}]])
def test_counters_that_answer_later(counters: MemoryCounters, limits: list[dict[str, Any]]) -> None:
    policy = limiter(Awaited(counters), limits)
    answers = [call(policy) for _ in range(3)]
    assert [answer[0] is None for answer in answers] == [True, True, False]
    assert [answer[1]["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]


def test_counters_that_fail_later() -> None:
    class LateFailure(Awaited):
        async def hit_all(self, hits: list[tuple[bytes, Limit]], cost: int = 1) -> list[Verdict]:
            await asyncio.sleep(0)
            raise CounterUnavailable("too late")

    assert refusal(call(limiter(LateFailure(None)))[0]).status == 503
    assert call(limiter(LateFailure(None), on_unavailable="allow"))[0] is None
    local = limiter(LateFailure(None), [{"amount": 1}], on_unavailable="local")
    assert [call(local)[0] is None for _ in range(2)] == [True, False]


def test_gcra_burst(counters: MemoryCounters, clock: Clock) -> None:
    policy = limiter(counters, [{"amount": 60, "period": "minute", "algorithm": "gcra", "burst": 3}])
    assert [call(policy)[0] is None for _ in range(4)] == [True, True, True, False]
    clock.now += 1.0
    assert [call(policy)[0] is None for _ in range(2)] == [True, False]


def test_several_periods(counters: MemoryCounters, clock: Clock) -> None:
    policy = limiter(counters, [{"amount": 2, "period": "minute", "every": 5, "algorithm": "fixed-window"}])
    answers = [call(policy) for _ in range(3)]
    response = refusal(answers[-1][0])
    assert response.rule == "2/5 minutes by ip"
    assert "2 requests per 5 minutes" in response.detail
    assert answers[-1][1]["retry-after"] == "300"
    assert set(answers[0][1]) == {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"by": "header"}, "header"),
        ({"by": "header", "header": "not a token"}, "header"),
        ({"header": "x-tenant"}, "header"),
        ({"limits": [{"amount": 1}, {"amount": 2}]}, "limits[1]"),
        ({"limits": [{"amount": 1, "every": 60, "period": "second"}, {"amount": 2}]}, "limits[1]"),
        ({"limits": [{"amount": 1, "burst": 5}]}, "limits[0].burst"),
        ({"limits": [{"amount": 1}, {"amount": 10**9, "algorithm": "gcra"}]}, "limits[1].amount"),
    ],
)
def test_what_does_not_fit_together(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as raised:
        make_policy(RateLimit, config)
    assert raised.value.field == field


@pytest.mark.parametrize(
    "limit",
    [
        {},
        {"amount": 0},
        {"amount": 10**9 + 1},
        {"amount": 1, "period": "week"},
        {"amount": 1, "every": 0},
        {"x": 1},
    ],
)
def test_what_is_no_limit(limit: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        make_policy(RateLimit, {"limits": [limit]})
    with pytest.raises(msgspec.ValidationError):
        make_policy(RateLimit, {"limits": []})
