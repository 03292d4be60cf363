"""Real gateways for tests: one worker process behind any door, its configuration built in Python.

```python
from proxy.config.snapshot import Policy, Route, Snapshot, Target, Upstream
from tests.gateway.doors import Caller, snapshot

def test_something(gateway, door, upstream):              # runs once per door: native, granian
    running = gateway(door, snapshot(upstream.port))      # a route `/` of the Api `shop` to the upstream
    assert httpx.get(running.url + "/x").status_code == 200
    (record,) = running.new_records(1)                    # waits for it
    running.publish(snapshot(upstream.port, policies=(Policy("key-auth", "key"),)))
```

`gateway(door, config, callers=..., environment=...)` is cached per test module: the same arguments give the
same running process, so that a module pays for a start (half a second) once per configuration and door.
Pass `fresh=True` for a process of one's own, for example to publish to it or to stop it. All end with the
module; what a process wrote to stderr is shown if it did not start, did not end cleanly or died.

`Caller("bob", groups=("gold",), plans={"shop": "silver"})` makes an App with one API key, which is
`running.keys["bob"]`. Doors are `native`, `granian`, `uvicorn-h11`, `uvicorn-httptools` and `daphne`; a test
that asks for `door` runs with DOORS, `@pytest.mark.parametrize("door", SERVERS)` with all ASGI servers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from proxy.config.snapshot import Route, Snapshot, Target, Upstream
from proxy.config.store import SnapshotStore
from proxy.identity.keys import generate, load_pepper
from proxy.identity.model import AppEntry, CredentialEntry
from proxy.identity.store import IdentityStore
from proxy.identity.writer import Changes
from proxy.node import SNAPSHOT, NodeDir, SharedState
from proxy.telemetry.metrics import NAMED
from proxy.telemetry.prometheus import render, totals
from proxy.telemetry.record import TrafficRecord
from proxy.telemetry.status import read_all
from proxy.telemetry.tail import Tail

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("granian", "uvicorn-h11", "uvicorn-httptools", "daphne")
DOORS = ("native", "granian")
APPLICATION = "gatewayproject.gateway:application"
START_SECONDS = 60.0
"""Patience with a start: a busy machine may take ten seconds for one. A process that ends is noticed at once."""


@dataclass(frozen=True)
class Caller:
    """An App that may call, with one API key (made up, unless one is given)."""

    app: str
    groups: tuple[str, ...] = ()
    plans: Mapping[str, str] = field(default_factory=dict, hash=False)
    key: str = ""
    expires: float = 0.0


def snapshot(port: int, *, revision: int = 1, **parts: object) -> Snapshot:
    """A Snapshot with the Upstream `service` at `port` and, unless `routes` are given, one Route to it.

    `upstream` may be a dict of changed Upstream fields, `route` one of changed Route fields; all else is
    what Snapshot takes.
    """
    upstream_changes = parts.pop("upstream", {})
    route_changes = parts.pop("route", {})
    upstream = Upstream("service", targets=(Target("127.0.0.1", port),))
    route = Route("all", "shop", upstream="service")
    defaults: dict[str, object] = {
        "revision": revision,
        "upstreams": (msgspec.structs.replace(upstream, **upstream_changes),),  # type: ignore[arg-type]
        "routes": (msgspec.structs.replace(route, **route_changes),),  # type: ignore[arg-type]
    }
    return msgspec.structs.replace(Snapshot(), **(defaults | parts))


def wait_until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Poll a condition that no event tells of; fails the test when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.01)


class Gateway:
    """A running worker process behind one door."""

    def __init__(
        self,
        door: str,
        config: Snapshot,
        folder: Path,
        callers: tuple[Caller, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.door = door
        self.host = "127.0.0.1"
        self.node = NodeDir(folder)
        self.state = SharedState(self.node.state)
        self.keys: dict[str, str] = {}
        self._snapshots = SnapshotStore(self.node)
        self._log = folder / "stderr"
        self._seen = 0
        self._write_callers(callers)
        self._snapshots.write(config)
        self.state.numbers[SNAPSHOT] = config.revision
        self._socket, self.port = _reserve(listen=door == "native")
        self.url = f"http://{self.host}:{self.port}"
        self.process = self._start(environment or {})
        try:
            wait_until(self._ready, "the gateway's start", START_SECONDS)
        except BaseException:
            self.process.kill()
            self.process.wait()
            self._socket.close()
            self.state.close()
            raise AssertionError(f"{door} did not start: {self.stderr()}") from None

    # -- what it has done

    def records(self) -> list[TrafficRecord]:
        """All records so far, by arrival."""
        return Tail(self.node.spool).new()

    def new_records(self, count: int = 1, seconds: float = 10.0) -> list[TrafficRecord]:
        """Wait for `count` records that no earlier call has returned; fails if there are more or fewer."""
        wait_until(lambda: len(self.records()) >= self._seen + count, f"{count} records", seconds)
        found = self._by_end()[self._seen :]
        self._seen += len(found)
        assert len(found) == count, found
        return found

    def forget_records(self) -> None:
        """Begin anew: `new_records` leaves out what is there now, once nothing is under way."""
        asked = time.monotonic()

        def rests() -> bool:
            # Workers say it with each heartbeat; what they said before may be of a time without this request.
            told = [worker for worker in read_all(self.node.workers) if worker.alive]
            return all(time.monotonic() - worker.age > asked and not worker.in_flight for worker in told)

        wait_until(rests, "rest")
        self._seen = len(self.records())

    def record_of(self, request_id: str) -> TrafficRecord:
        """The record of one request; waits for it."""
        found: list[TrafficRecord] = []

        def look() -> bool:
            found[:] = [record for record in self.records() if record.request_id == request_id]
            return bool(found)

        wait_until(look, f"the record of {request_id}")
        assert len(found) == 1, found
        return found[0]

    def metrics(self) -> dict[str, int]:
        """The counters without labels, summed over workers (`proxy.telemetry.metrics.NAMES`)."""
        sums = totals(self.node.workers)
        return {key[1]: cells[0] for key, cells in sums.items() if key[0] == NAMED}

    def prometheus(self) -> str:
        """All metrics as Prometheus sees them."""
        return render(self.node.workers).decode()

    def stderr(self) -> str:
        """What the process wrote so far."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process that serves (under granian: the worker, not its parent)."""
        return next(worker.pid for worker in read_all(self.node.workers))

    # -- what can be done with it

    def publish(self, config: Snapshot) -> None:
        """Put another configuration in force without a restart; its revision must be a new one."""
        self._snapshots.write(config)
        self.state.numbers[SNAPSHOT] = config.revision
        wait_until(
            lambda: all(worker.revision == config.revision for worker in read_all(self.node.workers)),
            f"revision {config.revision} to be live",
        )

    def connect(self, timeout: float = 10.0) -> socket.socket:
        """A raw connection."""
        sock = socket.create_connection((self.host, self.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def stop(self, seconds: float = 15.0) -> int:
        """SIGTERM, wait, give everything back; the exit code. May be called twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.door} did not end: {self.stderr()}") from None
        self._socket.close()
        return self.process.returncode

    # -- starting

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.stderr()
        if self.door == "daphne":  # sends no lifespan: starts with its first request
            # Asked once and waited for: a late answer to a second request would be somebody's odd record.
            with contextlib.suppress(OSError), self.connect(START_SECONDS) as sock:
                sock.sendall(b"GET /.warm-up HTTP/1.1\r\nhost: warm-up.invalid\r\nconnection: close\r\n\r\n")
                while sock.recv(65536):
                    pass
        if not any(worker.ready for worker in read_all(self.node.workers)):
            return False
        with contextlib.suppress(OSError):
            self.connect(1.0).close()
            self._seen = len(self.records())
            return True
        return False

    def _start(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        descriptor = self._socket.fileno()
        command = _command(self.door, self.node.root, self.port, descriptor)
        variables = {**os.environ, "REDIS_URL": "", "TIDEGATE_NODE_DIR": str(self.node.root), **environment}
        with self._log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=variables,
                pass_fds=(descriptor,) if self.door in ("native", "tls") else (),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _write_callers(self, callers: tuple[Caller, ...]) -> None:
        store = IdentityStore(
            self.node.identity, pepper=load_pepper(self.node.pepper), state=self.state, writable=True
        )
        changes = Changes()
        for number, caller in enumerate(callers, 1):
            key = self.keys[caller.app] = caller.key or generate()
            app_id = f"app-{number}"
            plans = dict(caller.plans)
            changes.apps.append(AppEntry(app_id, caller.app, groups=caller.groups, plans=plans))
            entry = CredentialEntry(f"credential-{number}", app_id, expires=caller.expires)
            changes.credentials.append((store.digest(key.encode()), entry))
        store.apply(changes, version=1)
        store.close()

    def _by_end(self) -> list[TrafficRecord]:
        """Records in the order in which they were written, as far as times tell."""
        return sorted(self.records(), key=lambda record: record.time + record.duration_us / 1e6)


def _reserve(*, listen: bool) -> tuple[socket.socket, int]:
    """A port of ours: a listening socket to hand down, or one that keeps the port for whoever binds it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not listen:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", 0))
    if listen:
        sock.listen(1024)
    return sock, sock.getsockname()[1]


def _command(door: str, node: Path, port: int, descriptor: int) -> list[str]:
    python = [sys.executable, "-m"]
    if door == "native":
        return [*python, "proxy.worker", "--node", str(node), "--slot", "0", "--fd", str(descriptor)]
    if door == "tls":
        return [*python, "proxy.worker", "--node", str(node), "--slot", "0", "--tls-fd", str(descriptor)]
    address = ["--host", "127.0.0.1", "--port", str(port)]
    if door == "granian":
        options = ["--interface", "asgi", "--loop", "uvloop", "--workers-kill-timeout", "10"]
        return [*python, "granian", *address, *options, APPLICATION]
    if door == "daphne":
        address = ["--bind", "127.0.0.1", "--port", str(port)]
        return [*python, "daphne", *address, "--no-server-name", "--verbosity", "0", APPLICATION]
    options = ["--http", door.removeprefix("uvicorn-"), "--loop", "uvloop", "--no-proxy-headers"]
    quiet = ["--no-server-header", "--no-date-header", "--no-access-log"]
    return [*python, "uvicorn", *address, *options, *quiet, APPLICATION]


class GatewayFactory:
    """Starts gateways and keeps them for the tests of a module."""

    def __init__(self) -> None:
        self._cache: dict[object, Gateway] = {}
        self._all: list[tuple[Gateway, tempfile.TemporaryDirectory[str]]] = []

    def __call__(
        self,
        door: str,
        config: Snapshot,
        *,
        callers: tuple[Caller, ...] = (),
        environment: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> Gateway:
        """A running gateway; the same one again for the same arguments, unless `fresh`."""
        variables = dict(environment or {})
        key = (door, msgspec.json.encode(config), callers, tuple(sorted(variables.items())))
        if not fresh and key in self._cache:
            running = self._cache[key]
            assert running.process.poll() is None, f"{door} died: {running.stderr()}"
            running.forget_records()
            return running
        folder = tempfile.TemporaryDirectory(prefix="tidegate-door-", ignore_cleanup_errors=True)
        try:
            running = Gateway(door, config, Path(folder.name), callers, variables)
        except BaseException:
            folder.cleanup()
            raise
        self._all.append((running, folder))
        if not fresh:
            self._cache[key] = running
        return running

    def close(self) -> None:
        """End all of them; each must have lived until now and said nothing of exceptions."""
        complaints, ended = [], (0, -signal.SIGTERM)
        for running, folder in self._all:
            died = running.process.poll()
            code = running.stop()
            log = running.stderr()
            if died not in (None, *ended) or code not in ended or "Traceback" in log:
                complaints.append(f"{running.door} (exit {code}): {log}")
            running.state.close()
            folder.cleanup()
        assert not complaints, "\n".join(complaints)


@contextlib.contextmanager
def gateways() -> Iterator[GatewayFactory]:
    """A factory for the time of the block."""
    factory = GatewayFactory()
    try:
        yield factory
    finally:
        factory.close()
