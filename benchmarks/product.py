"""The whole product, `manage.py rungateway`, in a directory and on ports of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.stage import ROOT, Broken, Running, Stage, free_ports, free_range, wait_for
from proxy.telemetry.status import SlotStatus, read_all

DEMO_PORTS = 12
_OURS = ("TIDEGATE_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "NODE_NAME")


class Product:
    """Supervisor, workers and node agent, with an empty database or the demo shop; no console."""

    def __init__(self, stage: Stage, name: str, *, workers: int, demo: bool = False) -> None:
        self.stage = stage
        self.folder = stage.folder / name
        self.folder.mkdir()
        self.port, status = free_ports(2)
        self.count = workers
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
        self.environment |= {
            "TIDEGATE_DATA": str(self.folder),
            "TIDEGATE_GATEWAY_PORT": str(self.port),
            "TIDEGATE_STATUS_PORT": str(status),
            "TIDEGATE_WORKERS": str(workers),
            "TIDEGATE_TASKS": "off",
            "TIDEGATE_DEMO": "1" if demo else "0",
        }
        if demo:
            self.environment["TIDEGATE_DEMO_PORT"] = str(free_range(DEMO_PORTS))

    def manage(self, *arguments: str) -> str:
        """`manage.py`; what it printed. Raises Broken with its errors."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            raise Broken(f"manage.py {' '.join(arguments)}: {done.stdout[-500:]}{done.stderr[-1000:]}")
        return done.stdout

    def start(self) -> Running:
        """Start it and wait until every worker is ready."""
        command = [sys.executable, "manage.py", "rungateway", "--no-console"]
        running = self.stage.start(self.folder.name, command, core=None, environment=self.environment)

        def ready() -> bool:
            if running.process.poll() is not None:
                raise Broken(f"the product did not start: {running.output()}")
            return sum(worker.ready and worker.revision > 0 for worker in self.workers()) >= self.count

        wait_for(ready, "the product", 60.0)
        return running

    def workers(self) -> list[SlotStatus]:
        """What its workers say of themselves."""
        folder = self.folder / "node" / "workers"
        return read_all(folder) if folder.is_dir() else []

    def revision(self) -> int:
        """The oldest revision that a worker still serves."""
        return min((worker.revision for worker in self.workers()), default=0)
