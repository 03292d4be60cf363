"""Stores to test: a clock to set by hand, a Redis server of our own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class RedisServer:
    """A real `redis-server` on a Unix socket, so that there is no port to collide on."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.socket = folder / "redis.sock"
        self._command = [
            binary,
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        self.process = self._start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        # The socket is in its place a moment before anybody listens.
        while not self._listens():
            assert process.poll() is None and time.monotonic() < until, "redis-server does not start"
            time.sleep(0.005)
        return process

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as caller:
            return caller.connect_ex(str(self.socket)) == 0

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def restart(self) -> None:
        """Start again, empty."""
        self.process = self._start()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def redis_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(tmp_path_factory.mktemp("redis"), binary)
    yield server
    server.kill()


@pytest.fixture
def redis_server(redis_session: RedisServer) -> RedisServer:
    """The server, up and empty."""
    import redis

    if redis_session.process.poll() is not None:
        redis_session.restart()
    with redis.Redis.from_url(redis_session.url) as client:
        client.flushall()
        client.script_flush()
    return redis_session
