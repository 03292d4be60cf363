"""Runs a Supervisor over stub workers: `stub_supervisor.py NODE PORT WORKERS DRAIN [CHILD ...]`."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from proxy.node import NodeDir
from proxy.supervisor.process import Command
from proxy.supervisor.sockets import listen
from proxy.supervisor.supervisor import Doors, Plan, Supervisor

node, port, workers, drain, *child = sys.argv[1:]
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)


async def main() -> int:
    supervisor = Supervisor(
        Plan(
            node=NodeDir(node).root,
            doors=Doors(listen("127.0.0.1", int(port), "PORT", int(workers))),
            worker=(sys.executable, str(Path(__file__).with_name("stub_worker.py"))),
            children=[Command("child", tuple(child))] if child else [],
            drain_timeout=lambda: float(drain),
            drain_delay=float(os.environ.get("STUB_DELAY", "0")),
            on_stop=lambda: print("not ready any more", flush=True),
        )
    )
    running = asyncio.create_task(supervisor.run())
    await supervisor.wait_ready(float(os.environ.get("STUB_PATIENCE", "20")))
    print("ready", flush=True)
    return await running


sys.exit(asyncio.run(main()))
