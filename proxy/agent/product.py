"""Puts the product together: preflight, node agent, supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

from proxy.agent.agent import NodeAgent
from proxy.agent.connect import connect, describe
from proxy.agent.greeting import answers, places, reachable, readiness, say
from proxy.identity.keys import PepperError, load_pepper
from proxy.node import NodeDir
from proxy.supervisor.children import children
from proxy.supervisor.errors import StartError
from proxy.supervisor.limits import raise_open_files
from proxy.supervisor.options import Options
from proxy.supervisor.preflight import check_data, check_ports, lock_node
from proxy.supervisor.sockets import listen
from proxy.supervisor.supervisor import Doors, Plan, Supervisor

FIRST_SYNC_PATIENCE = 5.0
READY_PATIENCE = 30.0
CONSOLE_PATIENCE = 30.0


class Product:
    """One node: everything that `manage.py rungateway` runs.

    `prepare` may bring the database up to date, once it is clear that ports and directories are ours; the
    line that it returns is said last.
    """

    def __init__(self, options: Options, name: str, prepare: Callable[[], str] = str) -> None:
        self._options = options
        self._name = name
        self._prepare = prepare
        self._started = time.monotonic()
        self._hint = ""

    def run(self) -> int:
        """Run until stopped; the exit code. Raises StartError if it cannot begin."""
        options = self._options
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every probe
        check_data(options.data)
        lock = lock_node(options.node)
        try:
            check_ports(options)
            doors = _doors(options)
            node = _node(options)
            raise_open_files()
            self._hint = self._prepare()
            return asyncio.run(self._serve(node, doors))
        finally:
            os.close(lock)

    async def _serve(self, node: NodeDir, doors: Doors) -> int:
        agent = NodeAgent(self._name, node, lambda state: connect(node, state))
        await agent.first_sync(FIRST_SYNC_PATIENCE)
        _check_first_sync(agent)
        supervisor = Supervisor(self._plan(node, doors, agent))
        status_port = await agent.serve(
            self._options.status_host, self._options.status_port, supervisor.workers
        )
        gateway_port = doors.plain[0].getsockname()[1]
        greeter = asyncio.create_task(self._greet(supervisor, gateway_port, status_port))
        try:
            return await supervisor.run()
        finally:
            greeter.cancel()
            await agent.close()

    def _plan(self, node: NodeDir, doors: Doors, agent: NodeAgent) -> Plan:
        return Plan(
            node=node.root,
            doors=doors,
            worker=self._options.worker,
            children=children(self._options),
            environment=self._options.environment,
            drain_timeout=agent.drain_timeout,
            drain_delay=self._options.drain_delay,
            on_stop=agent.begin_drain,
        )

    async def _greet(self, supervisor: Supervisor, gateway_port: int, status_port: int) -> None:
        for line in places(self._options, gateway_port, status_port):
            say(line)
        host, port = reachable(self._options.host), self._options.console_port
        workers = await supervisor.wait_ready(READY_PATIENCE)
        console = not port or await answers(host, port, CONSOLE_PATIENCE)
        say(readiness(workers, console, self._started))
        if self._hint:
            say(self._hint)


def _check_first_sync(agent: NodeAgent) -> None:
    """Without the database a node starts only if it has a Snapshot to serve."""
    synchronizer = agent.synchronizer
    if isinstance(synchronizer.error, StartError) or not (synchronizer.connected or synchronizer.snapshot):
        raise StartError(describe(synchronizer.error))


def _doors(options: Options) -> Doors:
    count = options.workers
    plain = listen(options.host, options.gateway_port, "TIDEGATE_GATEWAY_PORT", count)
    if not options.tls_port:
        return Doors(plain)
    return Doors(plain, listen(options.host, options.tls_port, "TIDEGATE_TLS_PORT", count))


def _node(options: Options) -> NodeDir:
    try:
        node = NodeDir(options.node)
        load_pepper(node.pepper)
    except OSError as error:
        raise StartError(f"The node directory {options.node} cannot be used: {error.strerror}.") from None
    except PepperError as error:
        raise StartError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    return node
