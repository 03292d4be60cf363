"""Runs `benchmarks.client` as a process and reads what it measured."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import LOAD_CORE
from benchmarks.stage import Broken, Stage, pinned, python


class Sample(NamedTuple):
    """One request: its number, when it was due, how long its answer took from then on (0: none), seconds."""

    name: int
    due: float
    latency: float
    status: int

    @property
    def good(self) -> bool:
        """Answered with success."""
        return 200 <= self.status < 300


class Client:
    """A client process under way; use it as a context manager or call `result`."""

    def __init__(self, stage: Stage, mode: str, *, core: int | None = LOAD_CORE, **options: object) -> None:
        self._output = Path(stage.folder) / f"client-{time.monotonic_ns()}.json"
        arguments = [f"--{name}={value}" for name, value in options.items()]
        command = python("benchmarks.client", mode, f"--output={self._output}", *arguments)
        self.process = subprocess.Popen(
            pinned(command, core),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.refused = 0

    def wait_ready(self) -> None:
        """Until its connections are open."""
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            self.process.kill()
            raise Broken(f"the client did not start: {self.process.communicate()[1][-500:]}")

    def printed(self) -> dict[str, int]:
        """What it printed in the end, as JSON."""
        found: dict[str, int] = json.loads(self._finish())
        return found

    def result(self) -> list[Sample]:
        """All samples, in the order of their ends."""
        self._finish()
        document = json.loads(self._output.read_text())
        self._output.unlink()
        self.refused = document["refused"]
        return [Sample(*row) for row in document["samples"]]

    def stop_sending(self) -> list[Sample]:
        """Have a paced client end before its time; its samples."""
        self.process.terminate()
        return self.result()

    def stop(self) -> None:
        """End a client that holds idle connections."""
        self._finish()

    def _finish(self) -> str:
        output, errors = self.process.communicate(timeout=180)
        if self.process.returncode:
            raise Broken(f"the client failed: {errors[-500:]}")
        return output


def quantile(values: Iterable[float], share: float) -> float:
    """The value that this share of all does not exceed. Raises ValueError if there are none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
