"""What is said before a start that cannot succeed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from proxy.supervisor.errors import StartError
from proxy.supervisor.options import Options
from proxy.supervisor.preflight import check_data, check_ports, lock_node


def options(data: Path, **changes: object) -> Options:
    given = {"gateway_port": 0, "console_port": 0, "status_port": 0, "workers": 1, **changes}
    return Options(base=data, data=data, host="127.0.0.1", **given)  # type: ignore[arg-type]


def test_a_data_directory_is_made_private(tmp_path: Path) -> None:
    check_data(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match=r"file/data cannot be written: Not a directory.*TIDEGATE_DATA"):
        check_data(tmp_path / "file" / "data")


def test_two_cannot_run_in_one_node_directory(tmp_path: Path) -> None:
    held = lock_node(tmp_path)
    with pytest.raises(StartError, match=f"already runs in .* .process {os.getpid()}"):
        lock_node(tmp_path)
    os.close(held)
    os.close(lock_node(tmp_path))


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        ("console_port", "TIDEGATE_CONSOLE_PORT"),
        ("status_port", "TIDEGATE_STATUS_PORT"),
        ("demo_port", "TIDEGATE_DEMO_PORT"),
        ("h2_port", "TIDEGATE_H2_PORT"),
    ],
)
def test_a_port_of_a_child_in_use_is_named(tmp_path: Path, option: str, setting: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"Port {port} .* {setting} "):
            check_ports(options(tmp_path, **{option: port}))


def test_an_address_that_is_not_ours_names_its_own_setting(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no address 192\.0\.2\.1\. Set TIDEGATE_STATUS_HOST to"):
        check_ports(options(tmp_path, status_host="192.0.2.1"))


def test_http2_needs_a_certificate(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(StartError, match="TIDEGATE_H2_CERTIFICATE names no readable PEM file"):
        check_ports(options(tmp_path, h2_port=port))
    with pytest.raises(StartError, match="TIDEGATE_H2_KEY names no readable PEM file"):
        check_ports(options(tmp_path, h2_port=port, certificate=__file__, key=str(tmp_path)))
