"""The policy `rate-limit`."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from proxy.counters.base import AwaitedCounters, CounterUnavailable, ImmediateCounters, Limit, Verdict
from proxy.counters.memory import MemoryCounters
from proxy.exchange import Exchange, Header, Response, problem
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, RequestHookResult, Stage

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KNOWN_NUMBERS = 4096
_NUMBERS = tuple(b"%d" % number for number in range(_KNOWN_NUMBERS))
_CACHE_SIZE = 4096
_LONGEST_SUBJECT = 64
_FASTEST = 100_000
_WORDS = {
    "ip": "this address",
    "consumer": "this consumer",
    "credential": "this credential",
    "header": "this caller",
    "route": "this route",
    "api": "this API",
}


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One limit: `amount` requests in `every` periods."""

    amount: Annotated[int, Meta(description="How many requests.", examples=[100], ge=1, le=1_000_000_000)]
    period: Annotated[Literal["second", "minute", "hour", "day"], Meta(description="In which time.")] = (
        "minute"
    )
    every: Annotated[
        int, Meta(description="How many of these periods: 5 with `minute` is 5 minutes.", ge=1, le=1000)
    ] = 1
    algorithm: Annotated[
        Literal["sliding-window", "fixed-window", "gcra"],
        Meta(
            description="Sliding window smooths the edge between windows, fixed window starts anew, "
            "GCRA spaces requests evenly and lets `burst` come at once."
        ),
    ] = "sliding-window"
    burst: Annotated[
        int, Meta(description="How many may come at once (GCRA only); 0 is `amount`.", ge=0, le=1_000_000_000)
    ] = 0

    @property
    def seconds(self) -> int:
        """Length of the whole period."""
        return _SECONDS[self.period] * self.every

    def __str__(self) -> str:
        return (
            f"{self.amount}/{self.period}"
            if self.every == 1
            else f"{self.amount}/{self.every} {self.period}s"
        )


class RateLimit(Policy):
    """Limit how many requests a caller may make in a time.

    Several limits may hold at once: a request must fit all of them, and one that is refused counts against
    none. They count per `by`: the client's address (IPv6: its /64 network), the App (`consumer`), its
    `credential`, the value of a request `header`, the route or the API. Callers without that (nobody
    identified, no such header) count by their address. A window starts with a caller's first request.
    Counters survive a publish as long as label, algorithm and period stay the same; policies on several
    scopes all count.

    Answers carry `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds) of the limit that
    is nearest, and `X-RateLimit-Limit-Minute`, `X-RateLimit-Remaining-Minute` and so on for limits per
    second, minute, hour or day. A refusal is 429 with `Retry-After` and says which limit it was.

    `on_unavailable` says what to do while the counters cannot be reached: `refuse` with 503, `allow` without
    counting, or (`local`) count in each worker, with its share of the amounts.
    """

    name = "rate-limit"
    stage = Stage.LIMIT
    rank = 50
    combine = "stack"

    class Config(PolicyConfig, frozen=True):
        """The limits, and whom they count."""

        limits: Annotated[
            tuple[Rate, ...],
            Meta(
                description="Limits that all hold at once.",
                examples=[[{"amount": 100, "period": "minute"}]],
                min_length=1,
                max_length=8,
            ),
        ] = (Rate(amount=100),)
        by: Annotated[
            Literal["consumer", "ip", "credential", "header", "route", "api"],
            Meta(description="What requests are counted by."),
        ] = "consumer"
        header: Annotated[
            str,
            Meta(
                description="Request header whose value is counted by, with `by: header`.",
                examples=["x-tenant"],
                max_length=100,
            ),
        ] = ""
        on_unavailable: Annotated[
            Literal["refuse", "allow", "local"],
            Meta(description="What to do while the counters cannot be reached."),
        ] = "refuse"
        local_share: Annotated[
            int,
            Meta(
                description="With `local`: among how many workers the amounts are divided meanwhile.",
                ge=1,
                le=10_000,
            ),
        ] = 1
        hide_headers: Annotated[bool, Meta(description="Tell clients nothing about their limits.")] = False
        status: Annotated[int, Meta(description="HTTP status of a refusal.", ge=400, le=599)] = 429
        message: Annotated[
            str,
            Meta(description="Text of a refusal; empty says which limit it was.", max_length=500),
        ] = ""

        def check(self) -> None:
            """The header is named, no two limits count the same, bursts and rates are possible."""
            if self.by == "header" and not _TOKEN.fullmatch(self.header):
                raise Invalid("Name the request header to count by.", "header")
            if self.by != "header" and self.header:
                raise Invalid("A header is only used with `by: header`.", "header")
            kinds = set()
            for index, rate in enumerate(self.limits):
                if (rate.algorithm, rate.seconds) in kinds:
                    raise Invalid(
                        "Two limits have the same period; only the lower one can matter.", f"limits[{index}]"
                    )
                kinds.add((rate.algorithm, rate.seconds))
                _check_rate(rate, f"limits[{index}]")

    config: Config

    def setup(self) -> None:
        """Make limits, keys and header lines ready."""
        config = self.config
        counters = self.services.counters
        immediate = getattr(counters, "immediate", True)
        self._counters = cast(ImmediateCounters, counters) if immediate else None
        self._awaited = cast(AwaitedCounters, counters)
        self._rules = [_Rule(rate, self.label, config.local_share) for rate in config.limits]
        self._hit: Any = getattr(counters, "hit", None)
        self._first = self._rules[0]
        self._shown = self.enforce and not config.hide_headers
        self._plain = len(self._rules) == 1 and self._shown and immediate
        self._header = config.header.lower().encode()
        self._addresses: dict[str, _Subject] = {}
        self._names: dict[str, _Subject] = {}
        self._values: dict[bytes, _Subject] = {}
        finders: dict[str, Callable[[Exchange], _Subject]] = {
            "ip": self._by_address,
            "consumer": self._by_consumer,
            "credential": self._by_credential,
            "header": self._by_header,
            "route": self._by_route,
            "api": self._by_api,
        }
        self._find = finders[config.by]
        self._local = (
            MemoryCounters(clock=self.services.monotonic) if config.on_unavailable == "local" else None
        )

    def on_request(self, x: Exchange) -> RequestHookResult:
        """Count the request under all limits, and refuse it if it does not fit."""
        subject = self._find(x)
        if self._plain and x.extra is None and x.late is None:
            key, limit = subject.hits[0]
            try:
                verdict = self._hit(key, limit)
            except CounterUnavailable:
                return self._unavailable(x, subject)
            if verdict[0]:
                x.late, x.late_of = self._first, verdict
                return None
            return self._decide(x, subject, [verdict])
        counters = self._counters
        if counters is None:
            return self._decide_later(x, subject)
        try:
            return self._decide(x, subject, counters.hit_all(subject.hits))
        except CounterUnavailable:
            return self._unavailable(x, subject)

    async def _decide_later(self, x: Exchange, subject: _Subject) -> Response | None:
        try:
            verdicts = await self._awaited.hit_all(subject.hits)
        except CounterUnavailable:
            return self._unavailable(x, subject)
        return self._decide(x, subject, verdicts)

    def _decide(self, x: Exchange, subject: _Subject, verdicts: list[Verdict]) -> Response | None:
        refusing = max(
            (index for index, verdict in enumerate(verdicts) if not verdict.allowed),
            key=lambda index: verdicts[index].retry_after,
            default=None,
        )
        if self._shown:
            self._report(x, verdicts, refusing)
        if refusing is None:
            return None
        rule, seconds = self._rules[refusing], max(1, math.ceil(verdicts[refusing].retry_after))
        headers = [(b"retry-after", b"%d" % seconds)] if self._shown else []
        detail = self.config.message or f"{rule.sentence} for {_WORDS[subject.kind]}."
        rule_text = f"{rule.rate} by {subject.kind}"
        return problem(self.config.status, "rate-limit-exceeded", detail, rule=rule_text, headers=headers)

    def _report(self, x: Exchange, verdicts: list[Verdict], refusing: int | None) -> None:
        """Add the header lines, where another rate limit has not added those of a tighter one."""
        tightest = refusing
        if tightest is None:
            tightest = min(range(len(verdicts)), key=lambda index: verdicts[index].remaining)
        for index, verdict in enumerate(verdicts):
            lines = self._rules[index].headers(verdict)
            if index == tightest:
                _add_tighter(x, lines[:3], verdict)
            if len(lines) > 3:
                _add_tighter(x, lines[3:], verdict)

    def _unavailable(self, x: Exchange, subject: _Subject) -> Response | None:
        """The counters cannot be reached."""
        self.services.bump("counter_unavailable")
        if self.config.on_unavailable == "allow":
            return None
        if self._local is not None:
            shares = [(key, rule.share) for (key, _), rule in zip(subject.hits, self._rules, strict=True)]
            return self._decide(x, subject, self._local.hit_all(shares))
        return problem(
            503,
            "rate-limit-unavailable",
            "Requests cannot be counted at the moment.",
            rule=f"by {subject.kind}",
            headers=[(b"retry-after", b"1")],
        )

    def _by_address(self, x: Exchange) -> _Subject:
        found = self._addresses.get(x.client_ip)
        if found is None:
            found = self._learn(self._addresses, x.client_ip, "ip", _network(x.client_ip))
        return found

    def _by_consumer(self, x: Exchange) -> _Subject:
        identity = x.identity
        return self._by_address(x) if identity is None else self._by_name(identity.app_id, "consumer")

    def _by_credential(self, x: Exchange) -> _Subject:
        identity = x.identity
        return (
            self._by_address(x) if identity is None else self._by_name(identity.credential_id, "credential")
        )

    def _by_header(self, x: Exchange) -> _Subject:
        value = x.header(self._header)
        if not value:
            return self._by_address(x)
        if len(value) > _LONGEST_SUBJECT:
            value = hashlib.blake2b(value, digest_size=_LONGEST_SUBJECT).digest() + b"\0"
        found = self._values.get(value)
        return self._learn(self._values, value, "header", value) if found is None else found

    def _by_route(self, x: Exchange) -> _Subject:
        return self._by_name(x.route.config.name if x.route is not None else "", "route")

    def _by_api(self, x: Exchange) -> _Subject:
        return self._by_name(x.route.config.api if x.route is not None else "", "api")

    def _by_name(self, name: str, kind: str) -> _Subject:
        found = self._names.get(name)
        return self._learn(self._names, name, kind, name.encode()) if found is None else found

    def _learn(self, known: dict[Any, _Subject], subject: str | bytes, kind: str, text: bytes) -> _Subject:
        """Remember a caller's keys; all are forgotten when there are too many, since making them is cheap."""
        if len(known) >= _CACHE_SIZE:
            known.clear()
        end = b"%b\0%b" % (kind.encode(), text)
        found = known[subject] = _Subject(kind, [(rule.prefix + end, rule.limit) for rule in self._rules])
        return found


class _Rule:
    """One limit made ready: what to count, under which key, and the lines that report it."""

    __slots__ = (
        "_limit_lines",
        "_pattern",
        "_period_remaining",
        "limit",
        "prefix",
        "rate",
        "sentence",
        "share",
    )

    def __init__(self, rate: Rate, label: str, local_share: int) -> None:
        self.rate = rate
        self.limit = Limit(rate.algorithm, rate.amount, float(rate.seconds), rate.burst)
        self.share = self.limit._replace(
            amount=max(1, rate.amount // local_share), burst=-(-rate.burst // local_share)
        )
        name = f"{label}\0{rate.algorithm}\0{rate.seconds}".encode()
        self.prefix = hashlib.blake2b(name, digest_size=16).digest()
        span = rate.period if rate.every == 1 else f"{rate.every} {rate.period}s"
        plural = "" if rate.amount == 1 else "s"
        self.sentence = f"No more than {rate.amount} request{plural} per {span}"
        amount, period = b"%d" % rate.amount, rate.period.encode()
        self._limit_lines: tuple[Header, Header] = (
            (b"ratelimit-limit", amount),
            (b"x-ratelimit-limit-" + period, amount),
        )
        self._period_remaining = b"x-ratelimit-remaining-" + period if rate.every == 1 else b""
        self._pattern = (
            b"ratelimit-limit: %d\r\nratelimit-remaining: %%d\r\nratelimit-reset: %%d\r\n" % rate.amount
        )
        if self._period_remaining:
            self._pattern += b"%b: %b\r\n%b: %%d\r\n" % (*self._limit_lines[1], self._period_remaining)

    def lines(self, verdict: Verdict) -> bytes:
        """The `headers` as complete lines."""
        remaining = verdict[1]
        if self._period_remaining:
            return self._pattern % (remaining, math.ceil(verdict[2]), remaining)
        return self._pattern % (remaining, math.ceil(verdict[2]))

    def headers(self, verdict: Verdict) -> list[Header]:
        """Three general lines, then two of the period if it has a name of its own."""
        remaining, seconds = verdict[1], math.ceil(verdict[2])
        left = _NUMBERS[remaining] if remaining < _KNOWN_NUMBERS else b"%d" % remaining
        reset = _NUMBERS[seconds] if seconds < _KNOWN_NUMBERS else b"%d" % seconds
        general, periodic = self._limit_lines
        if not self._period_remaining:
            return [general, (b"ratelimit-remaining", left), (b"ratelimit-reset", reset)]
        return [
            general,
            (b"ratelimit-remaining", left),
            (b"ratelimit-reset", reset),
            periodic,
            (self._period_remaining, left),
        ]


class _Subject:
    """Whom a request counts for: what kind of subject it is, and its counters under all limits."""

    __slots__ = ("hits", "kind")

    def __init__(self, kind: str, hits: list[tuple[bytes, Limit]]) -> None:
        self.kind = kind
        self.hits = hits


def _check_rate(rate: Rate, field: str) -> None:
    if rate.burst and rate.algorithm != "gcra":
        raise Invalid("Only GCRA has a burst.", f"{field}.burst")
    if rate.algorithm == "gcra" and rate.amount > _FASTEST * rate.seconds:
        raise Invalid(f"GCRA spaces at most {_FASTEST} requests per second.", f"{field}.amount")


def _add_tighter(x: Exchange, lines: list[Header], verdict: Verdict) -> None:
    """Put these lines in place of those of the same names, unless those tell of fewer remaining requests."""
    remaining_name = lines[1][0]
    extra = x.added_headers()
    present = next((value for name, value in extra if name == remaining_name), None)
    if present is not None:
        if verdict.allowed and int(present) <= verdict.remaining:
            return
        names = {name for name, _ in lines}
        extra = [line for line in extra if line[0] not in names]
    x.extra = [*extra, *lines]


def _network(ip: str) -> bytes:
    """What counts as one caller: an IPv4 address, an IPv6 /64 network (RFC 6177), any other text as it is."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip.encode()
    if address.version == 4:
        return address.packed
    mapped = address.ipv4_mapped
    return mapped.packed if mapped is not None else address.packed[:8]
