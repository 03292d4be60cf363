"""A big installation for trying pages at size: objects, a month of rollups, the last hours as single records.

Everything is made from a seed, so that two runs give the same. Sums agree as they do with real traffic: the
hours of the last stretch are those of its records, and days are the sums of their hours.
"""

from __future__ import annotations

import datetime
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from analytics import raw, rollups
from analytics.batch import DAY, HOUR, MINUTE, Row, Tally, Windows, grained, tally, widened
from analytics.grains import Dimensions
from analytics.histogram import Histogram
from analytics.models import IngestTotals
from analytics.series import Catalogue
from proxy.models import Api, App, Credential, Developer, Plan, Route, Subscription, Target, Upstream

ROUTES_PER_API = 10
APPS_PER_DEVELOPER = 5
BUSY = 40
RECENT = 2 * HOUR
_AGENTS = ("curl/8.5.0", "python-httpx/0.28", "okhttp/4.12", "Go-http-client/2.0")
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Size:
    """How big it is: `active` Apps beside the busy ones call in an hour, `records` are single requests in the
    last two hours."""

    days: int = 30
    routes: int = 2_000
    apps: int = 5_000
    keys: int = 20_000
    active: int = 400
    records: int = 100_000


@dataclass(frozen=True, slots=True)
class Caller:
    """What one App calls: two Routes of one Api, under one Plan; `weight` says how often."""

    app: str
    api: str
    routes: tuple[str, str]
    plan: str
    targets: tuple[str, str]
    weight: float


def make_objects(size: Size) -> list[Caller]:
    """Apis, Routes, Upstreams, Plans, Developers, Apps, Subscriptions and keys that nobody has."""
    with transaction.atomic():
        apis, routes, targets = _configuration(size)
        plans = [Plan(name=f"sample-{name}", title=name.title()) for name in ("free", "silver", "gold")]
        plans = Plan.objects.bulk_create(plans)
        sold = Plan.apis.through
        sold.objects.bulk_create([sold(plan=plan, api=api) for plan in plans for api in apis])
        apps = _apps(size)
        pairs = [(app, index % len(apis), plans[index % 3]) for index, app in enumerate(apps)]
        Subscription.objects.bulk_create(
            [
                Subscription(app=app, api=apis[place], plan=plan, status=Subscription.Status.ACCEPTED)
                for app, place, plan in pairs
            ],
            batch_size=_CHUNK,
        )
        _keys(apps, size.keys)
    callers = []
    for index, (app, place, plan) in enumerate(pairs):
        own = routes[place]
        both = own[index % len(own)], own[(index + 1) % len(own)]
        callers.append(
            Caller(app.name, apis[place].slug, both, plan.name, targets[place], 1 / (1 + index) ** 0.8)
        )
    return callers


def _configuration(size: Size) -> tuple[list[Api], list[list[str]], list[tuple[str, str]]]:
    count = max(1, size.routes // ROUTES_PER_API)
    numbers = range(count)
    apis = Api.objects.bulk_create(
        [
            Api(
                slug=f"sample-{n:04}",
                title=f"Sample {n}",
                base_path=f"/sample-{n:04}",
                visibility="public",
                position=n,
            )
            for n in numbers
        ]
    )
    upstreams = Upstream.objects.bulk_create([Upstream(name=f"sample-{n:04}") for n in numbers])
    hosts = [(f"10.{n // 250}.{n % 250}.1", f"10.{n // 250}.{n % 250}.2") for n in numbers]
    Target.objects.bulk_create(
        [
            Target(upstream=upstream, host=host, port=8080)
            for upstream, pair in zip(upstreams, hosts, strict=True)
            for host in pair
        ]
    )
    rows = [
        Route(
            api=apis[n % count],
            name=f"sample-{n % count:04}-{n // count}",
            path=f"/things/{n // count}",
            upstream=upstreams[n % count],
            position=n // count,
        )
        for n in range(size.routes)
    ]
    Route.objects.bulk_create(rows, batch_size=_CHUNK)
    names: list[list[str]] = [[] for _ in numbers]
    for n, route in enumerate(rows):
        names[n % count].append(route.name)
    return apis, names, [(f"{one}:8080", f"{other}:8080") for one, other in hosts]


def _apps(size: Size) -> list[App]:
    people = range(max(1, size.apps // APPS_PER_DEVELOPER))
    developers = Developer.objects.bulk_create(
        [Developer(email=f"sample-{n}@example.com", name=f"Sample Developer {n}") for n in people],
        batch_size=_CHUNK,
    )
    # Their usage begins with them.
    begun = timezone.now() - datetime.timedelta(days=size.days)
    rows = [
        App(
            name=f"sample-app-{n:05}",
            title=f"Sample App {n}",
            developer=developers[n % len(developers)],
            created_at=begun,
        )
        for n in range(size.apps)
    ]
    made: list[App] = App.objects.bulk_create(rows, batch_size=_CHUNK)
    return made


def _keys(apps: list[App], count: int) -> None:
    now = timezone.now()
    rows = (
        Credential(
            app=apps[n % len(apps)],
            name=f"key {n // len(apps) + 1}",
            prefix=f"tg_{secrets.token_hex(3)[:5]}",
            last_four=secrets.token_hex(2),
            digest=secrets.token_bytes(16),
            created_at=now,
        )
        for n in range(count)
    )
    Credential.objects.bulk_create(rows, batch_size=_CHUNK)


def make_traffic(size: Size, callers: list[Caller], now: int, seed: int = 1) -> Iterator[int]:
    """Store the traffic of `size.days` up to `now` (Unix seconds), a day at a time; yields the day's requests."""
    chance = random.Random(seed)  # noqa: S311 - sample data
    catalogue = Catalogue()
    rows = sorted(_records(size, callers, now, chance))
    minutes = grained(tally(rows))
    recent = widened(minutes, HOUR)
    border = (now - RECENT) // HOUR * HOUR
    first = (now - size.days * DAY) // DAY * DAY
    shapes = [_shape(chance) for _ in range(40)]
    for day in range(first, now + 1, DAY):
        hours: Windows = {
            start: window
            for at in range(day, min(day + DAY, border), HOUR)
            for start, window in grained({at: _hour(callers, size.active, at, shapes, chance)}).items()
        }
        hours.update((start, window) for start, window in recent.items() if day <= start < day + DAY)
        here = {start: window for start, window in minutes.items() if day <= start < day + DAY}
        own = [row for row in rows if day <= row[0] < day + DAY]
        yield _store(catalogue, own, {MINUTE: here, HOUR: hours, DAY: widened(hours, DAY)})


def _store(catalogue: Catalogue, rows: list[Row], steps: dict[int, Windows]) -> int:
    with transaction.atomic():
        totals = IngestTotals.lock()
        catalogue.begin(totals.epoch)
        for step, windows in steps.items():
            rollups.add(step, windows, catalogue)
        raw.insert(rows)
        count = sum(
            found.count for window in steps[DAY].values() for key, found in window.items() if key[0] == 0
        )
        totals.records += count
        totals.save(update_fields=["records"])
    catalogue.commit()
    return count


def _shape(chance: random.Random) -> tuple[Histogram, int]:
    """How a thousand requests spread, and the sum of their microseconds."""
    values = [int(chance.lognormvariate(chance.uniform(8, 11), 0.6)) for _ in range(12)]
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram, sum(values)


def _hour(
    callers: list[Caller], active: int, at: int, shapes: list[tuple[Histogram, int]], chance: random.Random
) -> dict[Dimensions, Tally]:
    """Who calls in an hour: the busy Apps always, of the others some; more by day than by night."""
    busy = 1 + (8 <= at // HOUR % 24 <= 18)
    found: dict[Dimensions, Tally] = {}
    for caller in callers[:BUSY] + chance.sample(callers, min(active, len(callers))):
        for status, state, share, code in (
            (200, 0, 1.0, ""),
            (429, 1, 0.05, "rate-limit-exceeded"),
            (502, 3, 0.01, "upstream-unreachable"),
        ):
            times = int(busy * caller.weight * 400 * share) + (chance.random() < share)
            if times:
                target = "" if state == 1 else chance.choice(caller.targets)
                policy = "rate-limit" if state == 1 else ""
                dimensions = (
                    caller.api, chance.choice(caller.routes), caller.app, caller.plan, target,
                    status, code, policy, state,
                )  # fmt: skip
                found[dimensions] = _repeated(*chance.choice(shapes), times)
    return found


def _repeated(shape: Histogram, total: int, times: int) -> Tally:
    found = Tally()
    found.count = sum(shape.values()) * times
    found.bytes_in, found.bytes_out = found.count * 40, found.count * 900
    found.duration_sum, found.upstream_sum = total * times, total * times * 4 // 5
    found.duration = Histogram({number: count * times for number, count in shape.items()})
    found.upstream = found.duration
    return found


def _records(size: Size, callers: list[Caller], now: int, chance: random.Random) -> Iterator[Row]:
    weights = [caller.weight for caller in callers]
    for caller in chance.choices(callers, weights, k=size.records):
        yield _record(caller, now - RECENT + chance.random() * RECENT, chance)


def _record(caller: Caller, at: float, chance: random.Random) -> Row:
    outcome: tuple[Any, ...] = chance.choices(
        (
            (200, 0, "", ""),
            (404, 0, "", ""),
            (429, 1, "rate-limit-exceeded", "rate-limit"),
            (502, 3, "upstream-unreachable", ""),
        ),
        (93, 3, 3, 1),
    )[0]
    status, state, code, policy = outcome
    duration = int(chance.lognormvariate(9, 0.8))
    route, method = chance.choice(caller.routes), chance.choices(("GET", "POST", "DELETE"), (8, 2, 1))[0]
    path = f"/{caller.api}/things/{chance.randrange(10_000)}"
    address = f"198.51.100.{chance.randrange(256)}"
    return (
        max(at, 0.0), duration, f"{chance.getrandbits(96):024x}", f"{chance.getrandbits(128):032x}",
        method, "api.example.com", path, chance.choice(_AGENTS), caller.api, route, 1, caller.app, "1",
        state, status, address, caller.plan, "" if state == 1 else chance.choice(caller.targets),
        0 if state == 1 else duration * 4 // 5, 0, 900, 1, code, policy, policy, "", "HTTP/1.1",
    )  # fmt: skip
