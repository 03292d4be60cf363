"""Tidegate as it runs in production: a node directory on disk, worker processes on inherited sockets."""

from __future__ import annotations

import functools
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import GATEWAY_CORE
from benchmarks.probe_identity import key as make_key
from benchmarks.stage import Broken, Running, Stage, free_ports, python, wait_for
from proxy.config.snapshot import PathMatch, Policy, Route, Snapshot, Target, Upstream
from proxy.config.store import SnapshotStore
from proxy.identity.keys import load_pepper
from proxy.identity.model import AppEntry, CredentialEntry
from proxy.identity.store import IdentityStore
from proxy.node import IDENTITY, SNAPSHOT, NodeDir, SharedState
from proxy.supervisor.sockets import listen
from proxy.telemetry.spool import SEALED
from proxy.telemetry.status import SlotStatus, read_all

KEYS = 100_000
ROUTES = 1_000
APPS = 10_000
APPLICATION = "gatewayproject.gateway:application"
NO_LIMIT = {"limits": [{"amount": 1_000_000_000, "period": "minute"}], "by": "consumer"}
POLICIES = (
    Policy("key-auth", "key"),
    Policy("rate-limit", "limit", config=NO_LIMIT),
    Policy(
        "transform-request",
        "request-headers",
        config={"add_headers": {"x-caller": "{consumer}"}, "remove_headers": ["x-debug"]},
    ),
    Policy(
        "transform-response",
        "response-headers",
        config={"add_headers": {"x-served-by": "tidegate"}, "remove_headers": ["x-powered-by"]},
    ),
)
"""Key check, a limit that never refuses, header rules. Request id, traceparent and record are always on."""


def snapshot(
    upstream: int, *, routes: int = ROUTES, policies: Sequence[Policy] = POLICIES, revision: int = 1
) -> Snapshot:
    """`routes` Routes `/svc/sN` of one Api to the upstream's port."""
    rows = (
        Route(
            f"route-{number}",
            "bench",
            PathMatch("prefix", f"/svc/s{number}"),
            order=number,
            upstream="service",
        )
        for number in range(routes)
    )
    service = Upstream("service", targets=(Target("127.0.0.1", upstream),))
    return Snapshot(revision=revision, routes=tuple(rows), upstreams=(service,), policies=tuple(policies))


@functools.cache
def key(number: int = 0) -> str:
    """One of the keys that are in the store."""
    return make_key(number).decode()


class Node:
    """A node directory, and what the node agent would do to it."""

    def __init__(self, folder: Path) -> None:
        self.dir = NodeDir(folder)
        self.state = SharedState(self.dir.state)
        self._snapshots = SnapshotStore(self.dir)

    def write_keys(self, count: int) -> None:
        """Put keys into the identity store, an App for every hundred of the first million."""
        store = IdentityStore(
            self.dir.identity, pepper=load_pepper(self.dir.pepper), state=self.state, writable=True
        )
        apps = min(APPS, count)
        rows = sorted((store.digest(make_key(number)), number) for number in range(count))
        store.replace_all(
            (AppEntry(str(number), f"app-{number}") for number in range(apps)),
            ((digest, CredentialEntry(str(number), str(number % apps))) for digest, number in rows),
            version=1,
            origin="benchmark",
        )
        store.close()
        self.state.numbers[IDENTITY] += 1

    def publish(self, config: Snapshot) -> None:
        """Write the Snapshot, then tell the workers, as the node agent does."""
        self._snapshots.write(config)
        self.state.numbers[SNAPSHOT] = config.revision

    def workers(self) -> list[SlotStatus]:
        """What the workers say of themselves."""
        return read_all(self.dir.workers)

    def is_live(self, revision: int, workers: int) -> bool:
        """Whether that many workers are ready and serve this revision."""
        return sum(worker.ready and worker.revision == revision for worker in self.workers()) >= workers

    def trim_spool(self) -> None:
        """Remove sealed segments, as ingest does, so that the spool never is full."""
        for path in self.dir.spool.glob(f"*{SEALED}"):
            path.unlink(missing_ok=True)

    def dropped(self) -> int:
        """Records that could not be written."""
        return sum(worker.dropped for worker in self.workers())


def make_node(stage: Stage, name: str, config: Snapshot, keys: int = KEYS) -> Node:
    """A node directory that is ready to be served from."""
    node = Node(stage.folder / name)
    node.write_keys(keys)
    node.publish(config)
    return node


class Workers:
    """Native workers, one per core given, that share a port or (with `apart`) have one each."""

    def __init__(
        self,
        stage: Stage,
        node: Node,
        cores: Sequence[int | None] = (GATEWAY_CORE,),
        *,
        apart: bool = False,
        command: Sequence[str] = (),
        redis: str = "",
    ) -> None:
        self.node = node
        self.sockets = list(_sockets(len(cores), apart))
        self.ports = [sock.getsockname()[1] for sock in self.sockets]
        self.running: list[Running] = []
        for slot, (core, sock) in enumerate(zip(cores, self.sockets, strict=True)):
            arguments = ["--node", str(node.dir.root), "--slot", str(slot), "--fd", str(sock.fileno())]
            self.running.append(
                stage.start(
                    f"{node.dir.root.name}-worker-{slot}",
                    [*(command or python("proxy.worker")), *arguments],
                    core=core,
                    descriptors=(sock.fileno(),),
                    environment={"REDIS_URL": redis},
                )
            )
        wait_for(self._ready, "the workers", 60.0)

    @property
    def port(self) -> int:
        """Of the first worker, or of all."""
        return self.ports[0]

    @property
    def pids(self) -> list[int]:
        """By slot."""
        return [pid for running in self.running for pid in running.pids]

    def stop(self, stage: Stage) -> None:
        """End them and give the ports back."""
        for running in self.running:
            stage.end(running)
        for sock in self.sockets:
            sock.close()

    def _ready(self) -> bool:
        for running in self.running:
            if running.process.poll() is not None:
                raise Broken(f"a worker did not start: {running.output()}")
        return sum(worker.ready for worker in self.node.workers()) >= len(self.running)


def _sockets(count: int, apart: bool) -> Iterator[socket.socket]:
    if apart:
        for _ in range(count):
            yield from listen("127.0.0.1", 0, "benchmark", 1)
    else:
        yield from listen("127.0.0.1", 0, "benchmark", count)


def start_granian(stage: Stage, node: Node, *, tls: tuple[Path, Path] | None = None) -> tuple[Running, int]:
    """The ASGI door under granian with one worker, with HTTP/2 over TLS if there is a certificate and key."""
    [port] = free_ports(1)
    command = python("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port))
    command += ["--loop", "uvloop", "--workers", "1", "--no-access-log", "--log-level", "error"]
    if tls:
        command += ["--http", "2", "--ssl-certificate", str(tls[0]), "--ssl-keyfile", str(tls[1])]
    variables = {"TIDEGATE_NODE_DIR": str(node.dir.root), "REDIS_URL": ""}
    name = "granian-h2" if tls else "granian"
    running = stage.start(name, [*command, APPLICATION], core=GATEWAY_CORE, environment=variables)

    def ready() -> bool:
        if running.process.poll() is not None:
            raise Broken(f"granian did not start: {running.output()}")
        own = set(running.pids)
        return any(worker.ready and worker.pid in own for worker in node.workers())

    wait_for(ready, "granian")
    return running, port


def kill(pid: int) -> None:
    """`kill -9`."""
    os.kill(pid, signal.SIGKILL)
