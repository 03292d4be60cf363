"""The product's supervisor over native workers alone: `python -m benchmarks.supervise NODE PORT WORKERS`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from proxy.supervisor.sockets import listen
from proxy.supervisor.supervisor import Doors, Plan, Supervisor


def main(node: str, port: str, workers: str) -> int:
    """Run until SIGTERM."""
    doors = Doors(listen("127.0.0.1", int(port), "PORT", int(workers)))
    command = (sys.executable, "-m", "proxy.worker")
    plan = Plan(Path(node), doors, command, environment={"REDIS_URL": ""}, drain_timeout=lambda: 5.0)
    return asyncio.run(Supervisor(plan).run())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
