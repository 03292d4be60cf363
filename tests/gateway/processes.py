"""Starts the whole product, `manage.py rungateway`, in a directory and on ports of its own.

```python
with running(tmp_path, workers=2) as product:
    product.apply(YAML)
    key = product.issue_key("shop")
    answer = product.get("/shop/items", headers={"x-api-key": key})
```
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "tidegate.sqlite3"
logging.getLogger("httpx").setLevel(logging.WARNING)


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


def wait_until(condition: Callable[[], object], seconds: float = 10.0, what: object = "") -> float:
    """Wait until `condition()` is true; how long that took, in seconds. Fails the test otherwise."""
    started = time.monotonic()
    while not condition():
        shown = what() if callable(what) else what
        assert time.monotonic() - started < seconds, f"waited {seconds} s in vain: {shown}"
        time.sleep(0.01)
    return time.monotonic() - started


def ended(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def run_manage(environment: dict[str, str], *arguments: str, text: str = "") -> str:
    """`manage.py` with arguments; what it printed. Raises AssertionError with its errors if it fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"manage.py {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@functools.cache
def migrated_database() -> Path:
    """A SQLite file with all migrations applied, made once per test process."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run_manage(clean_environment(TIDEGATE_DATA=str(folder)), "migrate", "--verbosity", "0")
    return folder / DATABASE


def clean_environment(**variables: str) -> dict[str, str]:
    """The present environment without settings of Tidegate, and `variables`."""
    ours = ("TIDEGATE_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "NODE_NAME")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONUNBUFFERED": "1", **variables}


class Product:
    """One product: its ports, its directory, its supervisor's process and what that printed."""

    def __init__(
        self, folder: Path, *, workers: int = 2, arguments: tuple[str, ...] = (), **environment: str
    ) -> None:
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.gateway_port, self.console_port, self.status_port = free_ports(3)
        self.arguments = arguments or ("--no-console",)
        self.lines: list[str] = []
        self.environment = clean_environment(
            TIDEGATE_DATA=str(self.data),
            TIDEGATE_GATEWAY_PORT=str(self.gateway_port),
            TIDEGATE_CONSOLE_PORT=str(self.console_port),
            TIDEGATE_STATUS_PORT=str(self.status_port),
            TIDEGATE_WORKERS=str(workers),
            TIDEGATE_TASKS="on" if arguments else "off",
        )
        self.environment.update(environment)
        self.process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def node(self) -> Path:
        """The node directory."""
        return self.data / "node"

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self.process is not None
        return self.process.pid

    def prepare(self) -> None:
        """Give it a migrated database, unless it has one."""
        if "DATABASE_URL" in self.environment:
            self.manage("migrate", "--verbosity", "0")
        elif not (self.data / DATABASE).exists():
            shutil.copy(migrated_database(), self.data / DATABASE)

    def start(self, wait: bool = True) -> Product:
        """Start the supervisor; with `wait`, until every worker is ready. `lines` begin anew."""
        self.lines.clear()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "rungateway", *self.arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            wait_until(lambda: self.said("ready in ") or not self.alive, 30, self.log)
            assert self.alive, self.log()
        return self

    @property
    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, seconds: float = 10.0) -> float:
        """Until `/readyz` says 200: the newest revision is live."""
        return wait_until(lambda: self.ask_status("/readyz")[0] == 200, seconds, self.log)

    def ask_status(self, path: str) -> tuple[int, bytes]:
        """Status and body of a page on the status port; 0 if nobody answers."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.status_port}{path}", trust_env=False, timeout=5)
        except httpx.HTTPError:
            return 0, b""
        return answer.status_code, answer.content

    def status(self) -> dict[str, Any]:
        """The document of `/healthz`."""
        code, body = self.ask_status("/healthz")
        assert code == 200, self.log()
        document: dict[str, Any] = json.loads(body)
        return document

    def worker_pids(self) -> list[int]:
        """The pids of the present workers, by slot."""
        return [worker["pid"] for worker in self.status()["workers"]]

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET on a new connection to the gateway."""
        options.setdefault("timeout", 10)
        return httpx.get(f"{self.url}{path}", trust_env=False, **options)

    def manage(self, *arguments: str, text: str = "") -> str:
        """`manage.py` in this product's environment; what it printed."""
        return run_manage(self.environment, *arguments, text=text)

    def apply(self, yaml: str) -> None:
        """Apply a configuration and publish it; if the product runs, until it is live on every worker."""
        self.manage("config", "apply", "-", "--publish", text=yaml)
        if self.alive:
            self.wait_published()

    def wait_published(self) -> float:
        """Until every worker serves the newest revision; how long that took."""
        newest = int(self.manage("config", "revisions").split()[0])
        return wait_until(
            lambda: {worker["revision"] for worker in self.status()["workers"]} == {newest}, 10, self.log
        )

    def issue_key(self, app: str) -> str:
        """A new key of an App that is there."""
        found = re.search(r"\btg_\w+", self.manage("key", "issue", app))
        assert found is not None
        return found[0]

    def said(self, text: str) -> bool:
        """Whether a line with that text was printed."""
        return any(text in line for line in list(self.lines))

    def log(self) -> str:
        """Everything that was printed."""
        return "\n".join(self.lines)

    def signal(self, number: signal.Signals) -> None:
        """To the supervisor alone."""
        os.kill(self.pid, number)

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM, unless it has ended; the exit code."""
        assert self.process is not None
        if self.alive:
            self.process.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float = 20.0) -> int:
        """Wait for the supervisor's end; the exit code."""
        assert self.process is not None and self._reader is not None and self.process.stdout is not None
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait(5)
            self._reader.join(5)
            self.process.stdout.close()
        return code

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip())


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    configuration: str = "",
    workers: int = 2,
    arguments: tuple[str, ...] = (),
    **environment: str,
) -> Iterator[Product]:
    """A product that runs; `configuration` (YAML) is published before the start. Stopped in the end."""
    product = Product(folder, workers=workers, arguments=arguments, **environment)
    product.prepare()
    if configuration:
        product.apply(configuration)
    product.start()
    try:
        yield product
    finally:
        product.stop()
