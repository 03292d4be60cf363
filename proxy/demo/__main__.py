"""`python -m proxy.demo SERVICE --port PORT`: one instance of a demo service on the loopback address."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

from proxy.demo.http import Server
from proxy.demo.services import SERVICES
from proxy.demo.shop import Shop


async def serve(service: str, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = await Server(Shop(service).handle, f"{service}:{port}").start(host, port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    server.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m proxy.demo")
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.service, options.host, options.port))


if __name__ == "__main__":
    main()
