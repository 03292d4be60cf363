"""Counters that all nodes share, in Redis or Valkey.

One script decides all limits of a request and sets the expiry of what it stores, so that there is neither a
race nor an immortal key. Time is the server's. The hits of one loop tick travel in one round trip; those
that come meanwhile make the next one.

Redis has `deadline` seconds from when it is asked; then who waits is told the verdict, or `CounterUnavailable`.
A hit that comes while Redis is asked waits for that as well, so twice as long at most. Time in which this process
was too busy to look for replies is not Redis's. A connection on which anything went
wrong is closed, never used again, and nothing is sent twice: whether a hit without a reply was counted is
unknown. After `FAILURES` failures in a row Redis is left alone for `pause` seconds.

All keys of one script call must live on one server: Redis Cluster is not supported.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

from proxy.counters.base import CounterUnavailable, Limit, Verdict
from proxy.counters.script import SCRIPT, SCRIPT_SHA, arguments, verdicts

PREFIX = b"tidegate:"
FAILURES = 3
_PLACES = 8192
_LATE = 0.01
"""Seconds; a timer that fires later than that tells of a busy loop, which looks at timers before sockets."""


class Waiting(NamedTuple):
    """Hits that wait for their turn: what to send, and whom to tell."""

    command: tuple[bytes, ...]
    future: asyncio.Future[list[Verdict]]


class _Deadline:
    """Ends a wait after some seconds, though not before the loop has looked for what came meanwhile."""

    def __init__(self, wait: asyncio.Timeout, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._wait, self._loop, self._due = wait, loop, loop.time() + seconds
        self._timer = loop.call_at(self._due, self._expire)

    def _expire(self) -> None:
        now = self._loop.time()
        if now - self._due < _LATE:
            self._wait.reschedule(now)
        else:
            self._due = now + _LATE
            self._timer = self._loop.call_at(self._due, self._wait.reschedule, self._due)

    def cancel(self) -> None:
        """It is over."""
        self._timer.cancel()


class RedisCounters:
    """The store behind `redis_url`. Bound to the loop of its first hit.

    At most `pending` hits wait; one more raises `CounterUnavailable`. `clock` is for tests: seconds to use
    in place of the server's time.
    """

    immediate = False
    evictions = 0
    """Redis evicts by its own `maxmemory` rule and tells nobody."""

    def __init__(
        self,
        redis_url: str,
        *,
        deadline: float = 0.05,
        pause: float = 1.0,
        pending: int = 10_000,
        connect_timeout: float = 1.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._deadline = deadline
        self._pause = pause
        self._pending = pending
        self._clock = clock
        self._pool = ConnectionPool.from_url(
            redis_url, socket_timeout=None, socket_connect_timeout=connect_timeout, driver_info=None
        )
        self._connect_timeout = connect_timeout
        self._connection: AbstractConnection | None = None
        self._connecting: asyncio.Task[AbstractConnection] | None = None
        self._queue: list[Waiting] = []
        self._sender: asyncio.Task[None] | None = None
        self._failures = 0
        self._closed_until = 0.0
        self._names: dict[bytes, bytes] = {}

    def __repr__(self) -> str:
        return "RedisCounters()"  # the address may hold a password

    async def hit(self, key: bytes, limit: Limit, cost: int = 1) -> Verdict:
        """Count `cost` hits for `key` if they fit, exactly over all nodes."""
        return (await self.hit_all([(key, limit)], cost))[0]

    async def hit_all(self, hits: list[tuple[bytes, Limit]], cost: int = 1) -> list[Verdict]:
        """Several limits at once, all or nothing, in one script call."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._closed_until:
            raise CounterUnavailable("Redis failed a moment ago")
        if len(self._queue) >= self._pending:
            raise CounterUnavailable("too many hits wait for Redis")
        names = [self._name(key) for key, _ in hits]
        now = b"" if self._clock is None else repr(self._clock()).encode()
        command = (b"%d" % len(names), *names, now, b"%d" % cost, *arguments(hits))
        future: asyncio.Future[list[Verdict]] = loop.create_future()
        self._queue.append(Waiting(command, future))
        if self._sender is None or self._sender.done():
            self._sender = loop.create_task(self._send())
        return await future

    async def close(self) -> None:
        """Give back the connection; who still waits is told that the store is unavailable."""
        self._closed_until = float("inf")
        for task in (self._sender, self._connecting):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        self._fail(self._take(), "the store is closed")
        await self._drop()

    def _name(self, key: bytes) -> bytes:
        """The key's name in Redis; hashed, so that its length and content are harmless."""
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _PLACES:
                self._names.clear()
            name = self._names[key] = PREFIX + hashlib.blake2b(key, digest_size=16).hexdigest().encode()
        return name

    def _take(self) -> list[Waiting]:
        batch, self._queue = self._queue, []
        return batch

    async def _send(self) -> None:
        """Send what waits until nothing does. Started in the tick of a hit, so it runs after that tick."""
        while self._queue:
            batch = self._take()
            try:
                await self._send_batch(batch)
            except asyncio.CancelledError:
                self._fail(batch, "the store is closed")
                raise
            except Exception as error:
                await self._drop()
                self._note_failure()
                self._fail([*batch, *self._take()], type(error).__name__)

    async def _send_batch(self, batch: list[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as wait:
            deadline = _Deadline(wait, loop, self._deadline)
            try:
                replies = await self._ask(await self._ready_connection(loop), batch)
            finally:
                deadline.cancel()
        self._tell(batch, replies)

    async def _ask(self, connection: AbstractConnection, batch: list[Waiting]) -> list[Any]:
        replies = await _round_trip(connection, "EVALSHA", SCRIPT_SHA, batch)
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            again = await _round_trip(connection, "EVAL", SCRIPT, [batch[index] for index in missing])
            for index, reply in zip(missing, again, strict=True):
                replies[index] = reply
        return replies

    def _tell(self, batch: list[Waiting], replies: list[Any]) -> None:
        """Hand out the replies. One counter that Redis cannot read must not stop all others."""
        failed = 0
        for waiting, reply in zip(batch, replies, strict=True):
            if isinstance(reply, ResponseError):
                failed += 1
                self._fail([waiting], type(reply).__name__)
            elif not waiting.future.done():
                waiting.future.set_result(verdicts(reply))
        if failed == len(batch):
            self._note_failure()
        else:
            self._failures = 0

    def _fail(self, batch: list[Waiting], reason: str) -> None:
        for waiting in batch:
            if not waiting.future.done():
                waiting.future.set_exception(CounterUnavailable(f"Redis: {reason}"))

    def _note_failure(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + self._pause)

    async def _ready_connection(self, loop: asyncio.AbstractEventLoop) -> AbstractConnection:
        """The connection, another one if the server closed it or sent what nobody asked for.

        Making one may take longer than a hit may wait, so it goes on without the hit.
        """
        if self._connection is not None:
            if not await self._connection.can_read():
                return self._connection
            await self._drop()
        if self._connecting is None:
            self._connecting = loop.create_task(self._open())
            self._connecting.add_done_callback(_retrieve)
        self._connection = await asyncio.shield(self._connecting)
        self._connecting = None
        return self._connection

    async def _open(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        async with asyncio.timeout(self._connect_timeout):
            await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
        task = self._connecting
        if task is not None and task.done():
            self._connecting = None
            if not task.cancelled() and task.exception() is None:
                await task.result().disconnect(nowait=True)


async def _round_trip(
    connection: AbstractConnection, verb: str, script: str, batch: list[Waiting]
) -> list[Any]:
    """Send all, then read all replies; an error that Redis answered is a reply like another."""
    packed = connection.pack_commands([(verb, script, *waiting.command) for waiting in batch])
    await connection.send_packed_command(packed, check_health=False)
    replies: list[Any] = []
    for _ in batch:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            replies.append(error)
    return replies


def _retrieve(task: asyncio.Task[AbstractConnection]) -> None:
    """Take note of a failure that no hit waits for any more."""
    if not task.cancelled():
        task.exception()
