"""The lines at the start that say what is where."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from proxy.supervisor.options import Options

AGAIN_SECONDS = 0.1


def say(line: str) -> None:
    """One line on standard output, at once."""
    print(line, flush=True)


def reachable(host: str) -> str:
    """Where something that listens at `host` is reached from this machine."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host


def origin(host: str, port: int, scheme: str = "http") -> str:
    """The start of the addresses of something that listens at `host`, as used on this machine."""
    host = reachable(host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def places(options: Options, gateway_port: int, status_port: int) -> Iterator[str]:
    """A line for each thing that listens, and where the data is."""
    host = options.host
    workers = f"{options.workers} worker{'' if options.workers == 1 else 's'}"
    yield f"gateway   {origin(host, gateway_port)}  ({workers})"
    if options.tls_port:
        yield f"          {origin(host, options.tls_port, 'https')}"
    if options.h2_port:
        yield f"          {origin(host, options.h2_port, 'https')}  (HTTP/2)"
    if options.console_port:
        yield f"console   {origin(host, options.console_port)}"
    yield f"status    {origin(options.status_host, status_port)}/healthz  /livez  /readyz  /metrics"
    yield f"data      {options.data}"


async def answers(host: str, port: int, patience: float) -> bool:
    """Whether somebody takes connections there within `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            while True:
                try:
                    _, writer = await asyncio.open_connection(host, port)
                except OSError:
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    writer.close()
                    return True
    except TimeoutError:
        return False


def readiness(workers: bool, console: bool, started: float) -> str:
    """How the start went; `started` is monotonic."""
    if not workers:
        return "the workers are not ready yet; the log says why"
    if not console:
        return "the gateway is ready, but the console does not answer yet; the log says why"
    return f"ready in {time.monotonic() - started:.1f} s; Ctrl-C stops everything"
