"""The lines at the start that say what is where."""

from __future__ import annotations

import time
from collections.abc import Iterator

from proxy.supervisor.options import Options


def say(line: str) -> None:
    """One line on standard output, at once."""
    print(line, flush=True)


def places(options: Options, gateway_port: int, status_port: int) -> Iterator[str]:
    """A line for each thing that listens, and where the data is."""
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::", "") else options.host
    workers = f"{options.workers} worker{'' if options.workers == 1 else 's'}"
    yield f"gateway   http://{host}:{gateway_port}  ({workers})"
    if options.tls_port:
        yield f"          https://{host}:{options.tls_port}"
    if options.h2_port:
        yield f"          https://{host}:{options.h2_port}  (HTTP/2)"
    if options.console_port:
        yield f"console   http://{host}:{options.console_port}"
    yield f"status    http://{options.status_host}:{status_port}/healthz  /livez  /readyz  /metrics"
    yield f"data      {options.data}"


def readiness(ready: bool, started: float) -> str:
    """How the start went; `started` is monotonic."""
    if not ready:
        return "the workers are not ready yet; the log says why"
    return f"ready in {time.monotonic() - started:.1f} s; Ctrl-C stops everything"
