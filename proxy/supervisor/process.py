"""One child process: started so that it cannot outlive the supervisor, its output prefixed on stderr."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_LAUNCHER = str(Path(__file__).with_name("launch.py"))
_LINE_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `descriptors` are inherited; `death_signal` is sent if the supervisor dies.

    A child with children of its own gets SIGTERM, so that it can end them; the others get SIGKILL.
    """

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()
    death_signal: signal.Signals = signal.SIGKILL
    later: bool = False
    """Started once the workers are ready, so as not to delay them."""
    niceness: int = 0
    """How far it steps back where processor time is short (nice(2)): 0 not at all, 19 furthest."""


class Process:
    """A running child, in a session of its own: Ctrl-C at the terminal reaches the supervisor alone."""

    def __init__(self, command: Command, process: asyncio.subprocess.Process) -> None:
        self.name = command.name
        self.pid = process.pid
        self.started = time.monotonic()
        self.last_line = ""
        self._process = process
        self._output = asyncio.create_task(self._forward())

    @classmethod
    async def start(cls, command: Command) -> Process:
        """Raises OSError if the machine has no process or descriptor left."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", _LAUNCHER),
            *(str(int(number)) for number in (os.getpid(), command.death_signal, command.niceness)),
            *command.arguments,
            env={**os.environ, **command.environment},
            pass_fds=command.descriptors,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(command, process)

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def wait(self) -> str:
        """Wait for its end; says how it ended, for a log line."""
        code = await self._process.wait()
        # A grandchild may still hold the pipe: its output is not waited for.
        await asyncio.wait({self._output}, timeout=0.2)
        self._output.cancel()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, and what it started."""
        self._signal(signal.SIGKILL)

    async def stop(self, patience: float) -> bool:
        """Ask, wait `patience` seconds, then kill; False if it had to be killed."""
        self.terminate()
        waiting = asyncio.ensure_future(self.wait())
        done, _ = await asyncio.wait({waiting}, timeout=patience)
        if not done:
            self.kill()
        await waiting
        return bool(done)

    def _signal(self, number: signal.Signals) -> None:
        if not self.running:
            return
        try:
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            os.kill(self.pid, number)

    async def _forward(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        rest = b""
        while chunk := await stream.read(_LINE_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._print(line)
            if len(rest) > _LINE_BYTES:
                self._print(rest)
                rest = b""
        self._print(rest)

    def _print(self, line: bytes) -> None:
        text = line.decode(errors="backslashreplace").rstrip()
        if text:
            self.last_line = text
            print(f"[{self.name}] {text}", file=sys.stderr, flush=True)
