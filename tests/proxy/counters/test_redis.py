"""Counters in a real Redis: exact over clients and processes, and decided in time when it is not there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.counters.base import CounterUnavailable, Limit, Verdict
from proxy.counters.memory import MemoryCounters
from proxy.counters.redis import PREFIX, RedisCounters
from tests.proxy.counters.conftest import Clock, RedisServer
from tests.proxy.counters.processes import admitted

LIMIT = Limit("fixed-window", 5, 3600.0)


def run(server: RedisServer, scenario: Callable[[RedisCounters], Awaitable[Any]], **options: Any) -> Any:
    """Run a scenario with a store and close it. The machine is busy with other tests, so Redis has half a second."""

    async def inside() -> Any:
        store = RedisCounters(server.url, **{"deadline": 0.5, **options})
        try:
            return await scenario(store)
        finally:
            await store.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not others, "the store leaves no task behind"

    return asyncio.run(inside())


def client(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url)


async def outcome(store: RedisCounters, key: bytes = b"key", limit: Limit = LIMIT) -> Verdict | str:
    """The verdict, or why there is none."""
    try:
        return await store.hit(key, limit)
    except CounterUnavailable as error:
        return str(error)


@pytest.mark.parametrize("algorithm", ["fixed-window", "sliding-window", "gcra"])
def test_exactly_the_limit_over_two_clients(redis_server: RedisServer, algorithm: str) -> None:
    limit = Limit(algorithm, 100, 3600.0)  # type: ignore[arg-type]

    async def scenario(first: RedisCounters) -> list[Verdict]:
        second = RedisCounters(redis_server.url, deadline=10.0)
        verdicts = await asyncio.gather(*((first, second)[n % 2].hit(b"key", limit) for n in range(1000)))
        await second.close()
        return verdicts

    verdicts = run(redis_server, scenario, deadline=10.0)
    assert sum(verdict.allowed for verdict in verdicts) == 100


@pytest.mark.parametrize("processes", [2, 4])
def test_exactly_the_limit_over_processes(redis_server: RedisServer, processes: int) -> None:
    count = admitted(
        "redis", redis_server.url, processes=processes, hits=1000, amount=100, algorithm="sliding-window"
    )
    assert count == 100


def test_hits_of_one_tick_share_a_round_trip(redis_server: RedisServer) -> None:
    async def scenario(store: RedisCounters) -> int:
        await store.hit(b"warm-up", LIMIT)
        trips = 0
        send = store._send_batch

        async def counted(batch: Any) -> None:
            nonlocal trips
            trips += 1
            await send(batch)

        store._send_batch = counted  # type: ignore[method-assign]
        await asyncio.gather(*(store.hit(b"%d" % number, LIMIT) for number in range(200)))
        return trips

    assert run(redis_server, scenario, deadline=5.0) == 1


def test_all_or_nothing_in_one_call(redis_server: RedisServer) -> None:
    hits = [(b"wide", Limit("sliding-window", 10, 60.0)), (b"narrow", Limit("fixed-window", 2, 3600.0))]

    async def scenario(store: RedisCounters) -> list[list[Verdict]]:
        return [await store.hit_all(hits) for _ in range(4)]

    answers = run(redis_server, scenario)
    assert [[verdict.allowed for verdict in answer] for answer in answers] == [
        [True, True],
        [True, True],
        [True, False],
        [True, False],
    ]
    assert [answer[0].remaining for answer in answers] == [9, 8, 8, 8]


def test_every_key_expires_and_tells_nothing(redis_server: RedisServer) -> None:
    subject = b"10.0.0.1\r\nFLUSHALL\r\n" * 100

    async def scenario(store: RedisCounters) -> None:
        for algorithm in ("fixed-window", "sliding-window", "gcra"):
            await store.hit(subject + algorithm.encode(), Limit(algorithm, 5, 60.0))

    run(redis_server, scenario)
    with client(redis_server) as connection:
        keys = connection.keys()
        assert len(keys) == 3
        for key in keys:
            assert key.startswith(PREFIX) and len(key) == len(PREFIX) + 32
            assert 0 < connection.pttl(key) <= 120_000


def test_script_flush_costs_nothing(redis_server: RedisServer) -> None:
    async def scenario(store: RedisCounters) -> list[int]:
        left = []
        for _ in range(3):
            left += [verdict.remaining for verdict in await asyncio.gather(*(store.hit(b"key", LIMIT),))]
            with client(redis_server) as connection:
                connection.script_flush()
        return left

    assert run(redis_server, scenario) == [4, 3, 2]


def test_flushall_begins_anew(redis_server: RedisServer) -> None:
    async def scenario(store: RedisCounters) -> list[int]:
        first = await store.hit(b"key", LIMIT)
        with client(redis_server) as connection:
            connection.flushall()
        return [first.remaining, (await store.hit(b"key", LIMIT)).remaining]

    assert run(redis_server, scenario) == [4, 4]


def test_slow_redis_is_decided_in_time(redis_server: RedisServer) -> None:
    """And the connection whose reply comes late is not used again: no verdict goes to a wrong hit."""

    async def scenario(store: RedisCounters) -> None:
        await store.hit(b"key", LIMIT)
        late = store._connection
        with client(redis_server) as connection:
            connection.client_pause(2000)
        begin = time.monotonic()
        answers = await asyncio.gather(*(outcome(store) for _ in range(50)))
        assert time.monotonic() - begin < 1.5
        assert set(answers) == {"Redis: TimeoutError"}
        await asyncio.sleep(2.05)
        verdict = await store.hit(b"other", Limit("fixed-window", 1000, 3600.0))
        assert verdict.remaining == 999
        assert store._connection is not late

    run(redis_server, scenario)


def test_breaker(redis_server: RedisServer) -> None:
    """After three failures nobody waits any more; after the pause it is tried again."""

    async def scenario(store: RedisCounters) -> None:
        await store.hit(b"key", LIMIT)
        redis_server.kill()
        for _ in range(3):
            assert str(await outcome(store)).startswith("Redis: ")
        begin = time.monotonic()
        answers = [await outcome(store) for _ in range(100)]
        assert set(answers) == {"Redis failed a moment ago"}
        assert time.monotonic() - begin < 1  # 100 time-outs would be 5 s
        redis_server.restart()
        await asyncio.sleep(1.05)
        assert (await store.hit(b"key", LIMIT)).remaining == 4, "it came back empty"

    run(redis_server, scenario, pause=1.0)


def test_a_restarted_server_is_not_noticed(redis_server: RedisServer) -> None:
    async def scenario(store: RedisCounters) -> Verdict:
        await store.hit(b"key", LIMIT)
        redis_server.kill()
        redis_server.restart()
        await asyncio.sleep(0.02)
        return await store.hit(b"key", LIMIT)

    assert run(redis_server, scenario).remaining == 4


def test_a_server_that_never_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Accepts and is silent, also while connecting: within the deadline, with nothing left behind."""
    path = tmp_path_factory.mktemp("silent") / "socket"

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            writer.close()

    async def scenario() -> None:
        server = await asyncio.start_unix_server(silent, path)
        store = RedisCounters(f"unix://{path}")
        begin = time.monotonic()
        assert await outcome(store) == "Redis: TimeoutError"
        assert time.monotonic() - begin < 2
        await store.close()
        assert await outcome(store) == "Redis failed a moment ago"
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(scenario())


def test_what_waits_is_bounded(redis_server: RedisServer) -> None:
    async def scenario(store: RedisCounters) -> list[Verdict | str]:
        return await asyncio.gather(*(outcome(store) for _ in range(12)))

    answers = run(redis_server, scenario, pending=10, deadline=5.0)
    assert answers.count("too many hits wait for Redis") == 2


def test_a_client_that_goes_away_takes_nobody_along(redis_server: RedisServer) -> None:
    async def scenario(store: RedisCounters) -> list[int]:
        await store.hit(b"warm-up", LIMIT)
        tasks = [asyncio.create_task(store.hit(b"key", LIMIT)) for _ in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[1], asyncio.CancelledError)
        return [answer.remaining for answer in answers if isinstance(answer, Verdict)]

    assert run(redis_server, scenario, deadline=5.0) == [4, 2, 1]


def test_a_counter_of_another_type_stops_only_its_own(redis_server: RedisServer) -> None:
    async def scenario(store: RedisCounters) -> None:
        await store.hit(b"bad", LIMIT)
        with client(redis_server) as connection:
            (key,) = connection.keys()
            connection.delete(key)
            connection.lpush(key, "x")
        for _ in range(5):
            bad, good = await asyncio.gather(outcome(store, b"bad"), outcome(store, b"good"))
            assert bad == "Redis: ResponseError"
            assert isinstance(good, Verdict)

    run(redis_server, scenario, deadline=5.0)


def test_a_full_server_is_unavailable(redis_server: RedisServer) -> None:
    async def scenario(store: RedisCounters) -> Verdict | str:
        with client(redis_server) as connection:
            connection.config_set("maxmemory", "1")
            try:
                return await outcome(store)
            finally:
                connection.config_set("maxmemory", "0")

    assert str(run(redis_server, scenario)).startswith("Redis: ")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.25, 3.0, 11.3, 70.0]),
            st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=3, unique=True),
            st.integers(1, 3),
        ),
        max_size=40,
    )
)
def test_same_answers_as_the_memory_store(
    redis_server: RedisServer, steps: list[tuple[float, list[int], int]]
) -> None:
    limits = [
        Limit("fixed-window", 4, 1000.0),
        Limit("sliding-window", 5, 100.0),
        Limit("gcra", 7, 300.0, 3),
        Limit("sliding-window", 2, 600.0),
    ]
    clock = Clock()
    memory = MemoryCounters(clock=clock)
    with client(redis_server) as connection:
        connection.flushall()

    async def scenario(store: RedisCounters) -> None:
        for pause, chosen, cost in steps:
            clock.now += pause * 1.1
            hits = [(b"key %d" % index, limits[index]) for index in chosen]
            assert await store.hit_all(hits, cost) == memory.hit_all(hits, cost)

    run(redis_server, scenario, clock=clock, deadline=5.0)


def test_a_server_clock_that_goes_back(redis_server: RedisServer) -> None:
    clock = Clock(10_000.0)

    async def scenario(store: RedisCounters) -> int:
        for _ in range(5):
            await store.hit(b"key", LIMIT)
        clock.now -= 9_000.0
        assert not (await store.hit(b"key", LIMIT)).allowed
        clock.now += 3600.0
        return (await store.hit(b"key", LIMIT)).remaining

    assert run(redis_server, scenario, clock=clock) == 4


def test_a_busy_loop_is_not_a_slow_redis(redis_server: RedisServer) -> None:
    """The reply was there in time; the loop looks at its timers first."""

    async def scenario(store: RedisCounters) -> int:
        limit = Limit("fixed-window", 1000, 3600.0)
        while isinstance(before := await outcome(store, b"key", limit), str):
            await asyncio.sleep(0.1)
        hit = asyncio.ensure_future(store.hit(b"key", limit))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(0.5)  # the hit is on its way
        return before.remaining - (await hit).remaining

    assert run(redis_server, scenario, deadline=0.05) == 1
