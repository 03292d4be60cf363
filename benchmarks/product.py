"""The whole product, `manage.py rungateway`, in a directory and on ports of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.stage import ROOT, Broken, Running, Stage, free_ports, free_range, wait_for
from proxy.telemetry.status import SlotStatus, read_all

DEMO_PORTS = 12
_OURS = ("TIDEGATE_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "NODE_NAME")


class Product:
    """Supervisor, workers and node agent, with an empty database or the demo shop.

    With `people` the console, the portal, the Admin API and the tasks run as well.
    """

    def __init__(
        self, stage: Stage, name: str, *, workers: int, demo: bool = False, people: bool = False
    ) -> None:
        self.stage = stage
        self.folder = stage.folder / name
        self.folder.mkdir()
        self.port, status, self.console_port = free_ports(3)
        self.people = people
        self.count = workers
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
        self.environment |= {
            "TIDEGATE_DATA": str(self.folder),
            "TIDEGATE_GATEWAY_PORT": str(self.port),
            "TIDEGATE_STATUS_PORT": str(status),
            "TIDEGATE_WORKERS": str(workers),
            "TIDEGATE_CONSOLE_PORT": str(self.console_port),
            "TIDEGATE_TASKS": "on" if people else "off",
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

    def apply(self, upstream: int, routes: int, policies: Sequence[dict[str, Any]], *options: str) -> None:
        """Make the draft one Api with Routes `/svc/sN` to the upstream's port; JSON is YAML as well."""
        rows = [
            {
                "name": f"route-{number}",
                "path": {"kind": "prefix", "value": f"/svc/s{number}"},
                "upstream": "service",
            }
            for number in range(routes)
        ]
        api = {
            "slug": "bench",
            "title": "Bench",
            "base_path": "/",
            "policies": list(policies),
            "routes": rows,
        }
        document = {
            "format": 1,
            "upstreams": [{"name": "service", "targets": [{"host": "127.0.0.1", "port": upstream}]}],
            "apis": [api],
            "developers": [{"email": "ada@example.com", "name": "Ada"}],
            "apps": [{"name": "bench", "title": "Bench", "developer": "ada@example.com"}],
        }
        path = self.folder / "configuration.yaml"
        path.write_text(json.dumps(document))
        self.manage("config", "apply", str(path), *options)

    def issue_key(self) -> str:
        """A key of the App that `apply` made."""
        [key] = [word for word in self.manage("key", "issue", "bench").split() if word.startswith("tg_")]
        return key

    def start(self, core: int | None = None) -> Running:
        """Start it, on that core alone if one is given, and wait until every worker is ready."""
        command = [sys.executable, "manage.py", "rungateway", *([] if self.people else ["--no-console"])]
        running = self.stage.start(self.folder.name, command, core=core, environment=self.environment)

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
