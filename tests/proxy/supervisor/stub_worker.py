"""A worker that obeys the supervisor's contract and answers each connection with its pid.

STUB_BEHAVIOUR: `crash` (dies at once), `late-crash` (once it has its status file), `stubborn`
(does not drain), `slow` (takes a second to be ready).
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from proxy.telemetry.status import DRAINING, READY, STATE, WorkerStatus


async def serve(node: Path, slot: int, descriptor: int) -> None:
    behaviour = os.environ.get("STUB_BEHAVIOUR", "")
    if behaviour == "crash":
        sys.exit("the stub was told to crash")
    status = WorkerStatus(node / "workers" / f"{slot}.status")
    if behaviour == "late-crash":
        sys.exit("the stub was told to crash")
    stop = asyncio.Event()
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if behaviour == "slow":
        await asyncio.sleep(1)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await asyncio.sleep(0.02)
        writer.write(f"{os.getpid()}\n".encode())
        await writer.drain()
        writer.close()

    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    server = await asyncio.start_server(answer, sock=listening)
    status.numbers[STATE] = READY
    while not stop.is_set():
        status.beat()
        await asyncio.sleep(0.05)
    status.numbers[STATE] = DRAINING
    server.close()
    await asyncio.sleep(0.3)


parser = argparse.ArgumentParser()
parser.add_argument("--node", type=Path)
parser.add_argument("--slot", type=int)
parser.add_argument("--fd", type=int)
given = parser.parse_args()
asyncio.run(serve(given.node, given.slot, given.fd))
