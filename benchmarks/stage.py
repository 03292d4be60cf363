"""Processes of a benchmark: pinned to a core, their output kept, ended with the stage."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from benchmarks.machine import LOAD_CORE, family

ROOT = Path(__file__).absolute().parent.parent


class Missing(Exception):
    """A program that a section cannot do without is not installed; the message names it."""


class Broken(Exception):
    """Something did not start or did not answer as it must; the message says what."""


@dataclass
class Options:
    """What `run.py` was asked for. `quick` makes everything small: it shows that it works, no more."""

    rounds: int = 5
    seconds: float = 3.0
    quick: bool = False
    connections: int = 32

    def size(self, full: int, quick: int) -> int:
        """One of two sizes."""
        return quick if self.quick else full


class Running:
    """A process that was started, with its children."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def pids(self) -> list[int]:
        """It and its children, as of now."""
        return family(self.process.pid)

    def stop(self, seconds: float = 10.0) -> None:
        """Ask it to end, and insist."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def output(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-2000:]


@dataclass
class Stage:
    """A directory and the processes in it; a context manager that ends both."""

    options: Options
    folder: Path = field(init=False)
    running: list[Running] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(prefix="tidegate-bench-", ignore_cleanup_errors=True)
        self.folder = Path(self._directory.name)
        self.folder.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.running):
            process.stop()
        self._directory.cleanup()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        core: int | None = LOAD_CORE,
        descriptors: tuple[int, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Start a process on a core (None: on any)."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                pinned(command, core),
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        running = Running(name, process, log)
        self.running.append(running)
        return running

    def end(self, running: Running) -> None:
        """End one process before the others."""
        running.stop()
        self.running.remove(running)


def pinned(command: Sequence[str], core: int | None) -> list[str]:
    """The command, on that core alone."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def python(module: str, *arguments: str) -> list[str]:
    """A module of ours as a command."""
    return [sys.executable, "-m", module, *arguments]


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on at this moment, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def free_range(count: int) -> int:
    """The first of `count` ports in a row that nothing listens on at this moment."""
    while True:
        [first] = free_ports(1)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except (OSError, OverflowError):
                continue
            return first


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20.0, step: float = 0.01) -> float:
    """Until `condition()` is true; how long that took, in seconds. Raises `Broken` if it never is."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise Broken(f"waited {seconds:g} s in vain for {what}")
        time.sleep(step)
    return time.monotonic() - started


def answers(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def wait_for_port(running: Running, port: int) -> None:
    """Until the process listens. Raises `Broken` with what it printed if it ended or never does."""

    def listens() -> bool:
        if running.process.poll() is not None:
            raise Broken(f"{running.name} did not start: {running.output()}")
        return answers(port)

    wait_for(listens, f"{running.name} to listen")
