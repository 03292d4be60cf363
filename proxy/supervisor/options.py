"""What `manage.py rungateway` was told, in one value."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

WORKER = (sys.executable, "-m", "proxy.worker")


@dataclass(frozen=True, slots=True)
class Options:
    """Ports are TCP ports on `host`; 0 turns the TLS, HTTP/2 or console port off.

    `data` holds everything that is kept, `base` is the folder of `manage.py`. `demo_port` is the first of
    the demo shop's ports, 0 means no demo. `certificate` and `key` are PEM files for the HTTP/2 port.
    `tasks` is whether Celery runs here. `drain_delay` is in seconds, from not ready to not listening.
    """

    base: Path
    data: Path
    host: str
    gateway_port: int
    console_port: int
    status_port: int
    workers: int
    status_host: str = "127.0.0.1"
    tls_port: int = 0
    h2_port: int = 0
    certificate: str = ""
    key: str = ""
    demo_port: int = 0
    tasks: bool = True
    drain_delay: float = 0.0
    worker: tuple[str, ...] = WORKER
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """What workers and the HTTP/2 door, which read no settings, are told of them beside the own environment."""

    @property
    def node(self) -> Path:
        """The node directory."""
        return self.data / "node"
