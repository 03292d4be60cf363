"""Listening sockets, one per worker slot and port, held by the supervisor for its whole life.

A worker inherits its socket, so the connections that the kernel has queued survive the worker: the next
worker of the slot accepts them. `SO_REUSEPORT` gives every slot a queue of its own.
"""

from __future__ import annotations

import errno
import socket

from proxy.supervisor.errors import StartError

BACKLOG = 4096


def check_free(host: str, port: int, setting: str, host_setting: str = "TIDEGATE_HOST") -> None:
    """Raise StartError if something listens on `host:port` or we may not;
    `setting` and `host_setting` are what to change.

    Done without `SO_REUSEPORT`, which would let two supervisors of one user share a port unnoticed.
    """
    _bind(host, port, (setting, host_setting), reuse_port=False).close()


def listen(host: str, port: int, setting: str, count: int) -> list[socket.socket]:
    """`count` sockets that listen on the same address; port 0 means any free one, the same for all."""
    check_free(host, port, setting)
    sockets: list[socket.socket] = []
    for _ in range(count):
        bound = _bind(host, port, (setting, "TIDEGATE_HOST"), reuse_port=True)
        port = bound.getsockname()[1]
        bound.listen(BACKLOG)
        bound.setblocking(False)
        sockets.append(bound)
    return sockets


def _bind(host: str, port: int, settings: tuple[str, str], *, reuse_port: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"The address {host!r} cannot be used: {error}. Set {settings[1]}.") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise StartError(_reason(error, host, port, *settings)) from None
    return bound


def _reason(error: OSError, host: str, port: int, setting: str, host_setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use. Stop what listens there, or set {setting} to another port."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"No permission to listen on port {port}. Set {setting} to 1024 or above, or grant the right."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {host}. Set {host_setting} to one that it has."
    return f"Cannot listen on {host} port {port} ({setting}): {error.strerror}."
