"""Who gets a request, and what becomes of connections and pools over time."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import msgspec

from proxy.config.snapshot import OutlierEjection, Target
from tests.proxy.upstream.stage import (
    Gateway,
    Incoming,
    ScriptedUpstream,
    answering,
    report_health,
    run,
    running,
    service,
    snapshot_of,
    until,
)


async def spread(gateway: Gateway, count: int, *upstreams: ScriptedUpstream) -> list[int]:
    """How many of `count` requests each upstream gets."""
    before = [len(upstream.requests) for upstream in upstreams]
    async with gateway.client() as client:
        for _ in range(count):
            client.send("GET", "/")
            assert (await client.read()).status == 200
    return [len(upstream.requests) - had for upstream, had in zip(upstreams, before, strict=True)]


def test_turns_are_even(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            answering() as a,
            answering() as b,
            answering() as c,
            running(tmp_path, service(a, b, c)) as gateway,
        ):
            assert await spread(gateway, 30, a, b, c) == [10, 10, 10]
            await gateway.settled(a, b, c)

    run(scenario)


def test_weights_are_exact_over_a_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as a, answering() as b, answering() as off:
            targets = [
                msgspec.structs.replace(one.target, weight=weight)
                for one, weight in ((a, 70), (b, 30), (off, 0))
            ]
            async with running(tmp_path, service(*targets)) as gateway:
                assert await spread(gateway, 10, a, b, off) == [7, 3, 0]
                assert await spread(gateway, 20, a, b, off) == [14, 6, 0]

    run(scenario)


def test_the_next_priority_serves_while_the_first_is_unhealthy(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as first, answering() as other, answering() as spare:
            backup = msgspec.structs.replace(spare.target, priority=1)
            async with running(tmp_path, service(first, other, backup)) as gateway:
                assert await spread(gateway, 10, first, other, spare) == [5, 5, 0]
                await report_health(gateway, {first.target.label: False})
                assert await spread(gateway, 10, first, other, spare) == [0, 10, 0]
                await report_health(gateway, {first.target.label: False, other.target.label: False})
                assert await spread(gateway, 10, first, other, spare) == [0, 0, 10]
                await report_health(gateway, {})
                assert await spread(gateway, 10, first, other, spare) == [5, 5, 0]

    run(scenario)


def test_if_all_are_unhealthy_all_are_tried(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as a, answering() as b, running(tmp_path, service(a, b)) as gateway:
            await report_health(gateway, {a.target.label: False, b.target.label: False})
            assert await spread(gateway, 10, a, b) == [5, 5]

    run(scenario)


def test_an_upstream_without_targets_is_503(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, service()) as gateway:
            answer = await gateway.ask()
            assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")
            assert (await gateway.record()).code == "no-healthy-upstream"

    run(scenario)


def test_idle_connections_expire(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            answering() as server,
            running(tmp_path, service(server, keepalive_timeout=0.2)) as gateway,
        ):
            await asyncio.gather(*(gateway.ask() for _ in range(5)))
            assert gateway.pool.open == server.open > 0
            await until(lambda: gateway.pool.open == server.open == 0, "the idle connections end")
            assert (await gateway.ask()).status == 200
            await gateway.settled(server)

    run(scenario)


def test_a_full_pool_of_idle_connections_elsewhere_blocks_nobody(tmp_path: Path) -> None:
    """All places are taken by idle connections to one target when it is the other one's turn."""

    async def scenario() -> None:
        async with answering() as a, answering() as b:
            upstream = service(a, b, max_connections=2, first_byte_timeout=5.0)
            async with running(tmp_path, upstream) as gateway:
                await report_health(gateway, {b.target.label: False})
                await asyncio.gather(gateway.ask(), gateway.ask())
                assert gateway.pool.open == 2
                await report_health(gateway, {a.target.label: False})
                assert (await asyncio.wait_for(gateway.ask(), 1)).status == 200
                assert len(b.requests) == 1
                assert gateway.pool.open <= 2

    run(scenario)


def test_many_requests_of_one_moment_open_no_more_than_allowed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as server, running(tmp_path, service(server, max_connections=3)) as gateway:
            answers = await asyncio.gather(*(gateway.ask() for _ in range(60)))
            assert {answer.status for answer in answers} == {200}
            assert server.connections <= 3
            await gateway.settled(server)

    run(scenario)


def test_a_retired_pool_ends_its_calls_and_closes(tmp_path: Path) -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def hold(incoming: Incoming) -> None:
            while True:
                await incoming.request()
                await release.wait()
                await incoming.send(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold")

        async with (
            ScriptedUpstream(hold) as old,
            answering() as new,
            running(tmp_path, service(old)) as gateway,
        ):
            former = gateway.pool
            asked = asyncio.ensure_future(gateway.ask())
            await until(lambda: old.open == 1, "the call")
            await gateway.publish(snapshot_of(service(new), revision=2))
            assert gateway.pool is not former
            assert (await gateway.ask()).body == b"ok"
            release.set()
            assert (await asked).body == b"old"
            await until(lambda: former.open == old.open == 0, "the old pool is empty")
            await gateway.settled(new)

    run(scenario)


def test_a_pool_outlives_a_publish_that_does_not_change_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as server, running(tmp_path, service(server)) as gateway:
            await gateway.ask()
            former = gateway.pool
            await gateway.publish(snapshot_of(service(server), revision=2))
            assert gateway.pool is former
            await gateway.ask()
            assert server.connections == 1

    run(scenario)


def test_a_retry_does_not_take_the_next_ones_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as dead:
            pass
        async with (
            answering() as a,
            answering() as b,
            running(tmp_path, service(dead, a, b, retry_budget=1.0, outlier=OutlierEjection(0))) as gateway,
        ):
            counts = await spread(gateway, 30, a, b)
            assert sum(counts) == 30
            assert min(counts) >= 10
            records = await gateway.records(30)
            assert Counter(record.tries for record in records) == {1: 20, 2: 10}

    run(scenario)


def test_tries_that_reached_no_service_are_free(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with answering() as dead:
            pass
        async with answering() as alive:
            config = service(dead, alive, retry_budget=0.0, outlier=OutlierEjection(0))
            async with running(tmp_path, config) as gateway:
                answers = await asyncio.gather(*(gateway.ask() for _ in range(60)))
                assert {answer.status for answer in answers} == {200}
                assert len(alive.requests) == 60

    run(scenario)


def test_a_target_by_a_name_that_cannot_be_is_502(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, service(Target("a" * 70 + ".test", 80), retries=0)) as gateway:
            assert (await gateway.ask()).status == 502
            await gateway.settled()

    run(scenario)
