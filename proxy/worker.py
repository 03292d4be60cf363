"""A worker process of the native door: `python -m proxy.worker --node DIR --slot N --fd FD [--tls-fd FD]`.

The supervisor owns the listening sockets and hands them down, so a worker that dies or is rolled never
takes connections that wait in the accept queue with it. SIGTERM drains, a second one ends at once.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
import time

import uvloop

from proxy.doors.listener import Listener
from proxy.doors.native import NativeConnection
from proxy.doors.tls import ServerContexts
from proxy.engine import Engine, open_engine, settle_collector

BACKLOG = 4096


class NativeWorker:
    """The native door's listeners over one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.listeners: list[Listener] = []
        self.servers: list[asyncio.Server] = []
        self.stopping = asyncio.Event()

    async def open(self, plain: socket.socket | None, tls: socket.socket | None) -> None:
        """Start to accept on sockets that are bound and listening."""
        if plain is not None:
            await self._serve(plain, b"http", None)
        if tls is not None:
            contexts = ServerContexts(self.engine.core)
            self.engine.sweeps.append(contexts.refresh)
            await self._serve(tls, b"https", contexts)
        self.engine.ready()

    async def _serve(self, sock: socket.socket, scheme: bytes, contexts: ServerContexts | None) -> None:
        listener = Listener(self.engine.core, self.engine.metrics, scheme)
        listener.sweep(time.monotonic())
        self.listeners.append(listener)
        self.engine.sweeps.append(listener.sweep)
        handshake = listener.limits.tls_handshake_timeout if contexts else None
        server = await asyncio.get_running_loop().create_server(
            lambda: NativeConnection(listener),
            sock=sock,
            backlog=BACKLOG,
            ssl=contexts.context if contexts else None,
            ssl_handshake_timeout=handshake,
        )
        self.servers.append(server)

    async def close(self) -> None:
        """Drain: what was accepted is answered, nothing new is taken."""
        self.engine.draining()
        for server in self.servers:
            server.close()
        runtime = self.engine.core.runtime
        seconds = runtime.limits.drain_timeout if runtime is not None else 1.0
        await asyncio.gather(*(listener.drain(seconds) for listener in self.listeners))


async def serve(node: str, slot: int, plain: socket.socket | None, tls: socket.socket | None) -> None:
    """Run one worker until it is told to stop."""
    engine = open_engine(node, slot)
    worker = NativeWorker(engine)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if worker.stopping.is_set():
            sys.exit(1)
        worker.stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await engine.start()
    settle_collector()
    await worker.open(plain, tls)
    await worker.stopping.wait()
    await worker.close()
    await engine.stop()


def _inherited(descriptor: int | None) -> socket.socket | None:
    if descriptor is None:
        return None
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m proxy.worker")
    parser.add_argument("--node", required=True, help="the node directory")
    parser.add_argument("--slot", type=int, required=True, help="number of this worker on its node")
    parser.add_argument("--fd", type=int, help="descriptor of the listening socket")
    parser.add_argument("--tls-fd", type=int, help="descriptor of the listening socket for TLS")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    uvloop.run(serve(options.node, options.slot, _inherited(options.fd), _inherited(options.tls_fd)))


if __name__ == "__main__":
    main()
