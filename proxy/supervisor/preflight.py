"""What must hold before anything is started; each failure is one line that says what to do."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from proxy.supervisor.errors import StartError
from proxy.supervisor.options import Options
from proxy.supervisor.sockets import check_free


def check_data(folder: Path) -> None:
    """The data directory must be there and ours to write."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StartError(
            f"The data directory {folder} cannot be written: {error.strerror}. "
            "Change its owner or mode, or set TIDEGATE_DATA to another directory."
        ) from None


def lock_node(node: Path) -> int:
    """Take the node directory for this process; the lock ends with it. Returns the descriptor to keep."""
    node.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(node / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
        os.close(descriptor)
        raise StartError(
            f"Tidegate already runs in {node} (process {owner}). "
            "Stop it, or set TIDEGATE_DATA to another directory."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def check_ports(options: Options) -> None:
    """The ports of the children, which would fail later and less clearly."""
    if options.console_port:
        check_free(options.host, options.console_port, "TIDEGATE_CONSOLE_PORT")
    if options.h2_port:
        check_free(options.host, options.h2_port, "TIDEGATE_H2_PORT")
        _check_certificate(options)
    check_free(options.status_host, options.status_port, "TIDEGATE_STATUS_PORT", "TIDEGATE_STATUS_HOST")
    for port in range(options.demo_port, options.demo_port + 6) if options.demo_port else ():
        check_free("127.0.0.1", port, "TIDEGATE_DEMO_PORT")


def _check_certificate(options: Options) -> None:
    for setting, path in (
        ("TIDEGATE_H2_CERTIFICATE", options.certificate),
        ("TIDEGATE_H2_KEY", options.key),
    ):
        if not Path(path).is_file() or not os.access(path, os.R_OK):
            raise StartError(
                f"TIDEGATE_H2_PORT needs a TLS certificate and its key: {setting} names no readable PEM file."
            )
