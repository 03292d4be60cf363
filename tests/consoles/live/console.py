"""The console under daphne on a port and with a database of its own, and a worker that writes its files."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from proxy.node import NodeDir
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.record import TrafficRecord
from proxy.telemetry.spool import Spool
from proxy.telemetry.status import IN_FLIGHT, READY, REVISION, STATE, WorkerStatus
from tests.gateway.processes import DATABASE, ROOT


class Console:
    """`sessions` are the keys of the cast's sessions."""

    def __init__(self, folder: Path) -> None:
        self.data = folder
        environment = os.environ | {"TIDEGATE_DATA": str(folder), "DATABASE_URL": "", "REDIS_URL": ""}
        cast = subprocess.run(
            [sys.executable, "-m", "tests.consoles.live.cast"],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.sessions: dict[str, str] = json.loads(cast.stdout.splitlines()[-1])
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self.log = folder / "daphne.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "daphne", "-v", "0", "--fd", str(listener.fileno()),
                 "gatewayproject.asgi:application"],
                cwd=ROOT, env=environment, pass_fds=(listener.fileno(),), stderr=log, stdout=log,
            )  # fmt: skip
        listener.close()

    @property
    def url(self) -> str:
        """Where pages are."""
        return f"http://127.0.0.1:{self.port}"

    def watch(self, view: str, who: str = "vera", **other: Any) -> ClientConnection:
        """An open socket; it does not answer frames by itself."""
        headers = {"Cookie": f"sessionid={self.sessions[who]}"} if who in self.sessions else {}
        return connect(
            f"ws://127.0.0.1:{self.port}/console/live/{view}",
            additional_headers=headers, open_timeout=30, **{"origin": self.url, **other},
        )  # fmt: skip

    def execute(self, statement: str, *values: Any) -> None:
        """Change the console's database behind its back."""
        with contextlib.closing(sqlite3.connect(self.data / DATABASE, timeout=10)) as database, database:
            assert database.execute(statement, values).rowcount > 0

    def stop(self) -> None:
        """End daphne."""
        self.process.terminate()
        self.process.wait(10)


class Worker:
    """Writes what a worker writes: status file, counters, spool."""

    def __init__(self, data: Path, slot: int = 0) -> None:
        self.node = NodeDir(data / "node")
        self.status = WorkerStatus(self.node.workers / f"{slot}.status")
        self.status.numbers[STATE], self.status.numbers[REVISION] = READY, 7
        self.status.numbers[IN_FLIGHT] = 3
        self.metrics = Metrics(self.status)
        self.spool = Spool(self.node.spool, node="node", slot=slot)
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def _beat(self) -> None:
        while not self._ended.wait(0.5):
            self.status.beat()

    def serve(self, record: TrafficRecord) -> None:
        """One request is over."""
        meter = self.metrics.route(record.api, record.route)
        meter.observe(record.status, record.state, record.duration_us, 0, 0, 0)
        self.spool.append(record)

    def close(self) -> None:
        """The worker ends."""
        self._ended.set()
        self._heart.join()
        self.spool.close()
        self.status.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Console]:
    """A console for as long as this lasts."""
    console = Console(folder)
    try:
        yield console
    finally:
        console.stop()


def frames(socket: ClientConnection, seconds: float = 10.0) -> Iterator[dict[str, Any]]:
    """The frames of a socket, each answered as the page does."""
    while True:
        frame = json.loads(socket.recv(timeout=seconds))
        socket.send("1")
        yield frame
