"""Starts the stub supervisor in a process of its own and talks to its workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from proxy.telemetry.status import SlotStatus, read_all

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> float:
    """Wait for a condition; how long it took. Fails the test if it never holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "waited in vain"
        time.sleep(0.01)
    return time.monotonic() - started


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Stage:
    """A stub supervisor with its workers; `stop` in the end, whatever happened."""

    def __init__(
        self,
        node: Path,
        workers: int = 2,
        drain: float = 5.0,
        behaviour: str = "",
        child: tuple[str, ...] = (),
        delay: float = 0.0,
    ) -> None:
        self.node = node
        self.port = free_port()
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).with_name("stub_supervisor.py"))),
                *(str(node), str(self.port), str(workers), str(drain), *child),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "STUB_BEHAVIOUR": behaviour,
                "STUB_DELAY": str(delay),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def said(self, text: str) -> bool:
        """Whether a line with that text was printed."""
        return any(text in line for line in list(self.lines))

    def wait_ready(self) -> None:
        """Until all workers are."""
        wait_until(lambda: self.said("ready") or self.process.poll() is not None)
        assert self.process.poll() is None, self.lines

    def workers(self) -> list[SlotStatus]:
        """Their status files."""
        return read_all(self.node / "workers")

    def pids(self) -> set[int]:
        """Of the workers."""
        return {worker.pid for worker in self.workers()}

    def ask(self) -> int:
        """One connection: the pid that answered. Raises OSError if refused or reset."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"who\n")
            answer = b""
            while part := connection.recv(100):
                answer += part
        if not answer:
            raise ConnectionResetError("closed without an answer")
        return int(answer)

    def signal(self, number: signal.Signals) -> None:
        """To the supervisor alone."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it; the exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(15)
        finally:
            self.process.kill()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code
