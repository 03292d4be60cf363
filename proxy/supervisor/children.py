"""The processes beside the workers, in one list: to add a child, add an entry."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

from proxy.demo.services import INSTANCES, port_of
from proxy.supervisor.options import Options
from proxy.supervisor.process import Command

CONSOLE = "gatewayproject.asgi:application"
CELERY = "gatewayproject.celery"
HTTP2_DOOR = "gatewayproject.gateway:application"
NODE_VARIABLE = "TIDEGATE_NODE_DIR"
"""Tells the ASGI door in which node directory it lives."""
TASKS_NICENESS = 10


def children(options: Options) -> list[Command]:
    """The children that these options ask for."""
    return [
        *([console(options)] if options.console_port else []),
        *([tasks()] if options.tasks else []),
        *([http2_door(options)] if options.h2_port else []),
        *(demo(options) if options.demo_port else []),
    ]


def console(options: Options) -> Command:
    """daphne with the admin console, the portal and the admin API."""
    flags = ("--no-server-name", "-v", "0", "-b", options.host, "-p", str(options.console_port))
    # Quiet unless it was asked for: daphne tells of every connection.
    level = os.environ.get("TIDEGATE_LOG_LEVEL", "WARNING")
    command = (sys.executable, "-m", "daphne", *flags, CONSOLE)
    return Command("console", command, environment={"TIDEGATE_LOG_LEVEL": level}, later=True)


def tasks() -> Command:
    """Celery's worker with its beat: ingests this node's spool, and whatever else is done by the clock.

    Requests come first: it takes the processor time that they leave, and catches up when there is more.
    """
    start = ("-A", CELERY, "-q", "--skip-checks")
    flags = ("-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat")
    level = os.environ.get("TIDEGATE_LOG_LEVEL", "WARNING")
    return Command(
        "tasks",
        (sys.executable, "-m", "celery", *start, "worker", "-l", level.upper(), *flags),
        environment={"TIDEGATE_LOG_LEVEL": level},
        death_signal=signal.SIGTERM,
        later=True,
        niceness=TASKS_NICENESS,
    )


def http2_door(options: Options) -> Command:
    """granian with the ASGI door: HTTP/2 over TLS."""
    flags = (
        *("--interface", "asgi", "--http", "auto", "--loop", "uvloop"),
        *("--workers", "1", "--log-level", "warning", "--no-access-log"),
        *("--host", options.host, "--port", str(options.h2_port)),
        *("--ssl-certificate", options.certificate, "--ssl-keyfile", options.key),
    )
    return Command(
        "http2",
        (sys.executable, "-m", "granian", *flags, HTTP2_DOOR),
        environment={**options.environment, NODE_VARIABLE: str(options.node)},
        death_signal=signal.SIGTERM,
    )


def demo(options: Options) -> Iterator[Command]:
    """The demo shop: each instance of each service is a process of its own."""
    for service, instance in INSTANCES:
        port = port_of(service, instance, options.demo_port)
        yield Command(
            f"{service} {instance}",
            (sys.executable, "-m", "proxy.demo", service, "--port", str(port)),
        )
