"""Listening sockets and what is said when there can be none."""

from __future__ import annotations

import socket

import pytest

from proxy.supervisor.errors import StartError
from proxy.supervisor.sockets import check_free, listen


def test_all_sockets_share_one_port() -> None:
    sockets = listen("127.0.0.1", 0, "TIDEGATE_GATEWAY_PORT", 3)
    try:
        assert len({bound.getsockname() for bound in sockets}) == 1
        assert all(bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for bound in sockets)
    finally:
        for bound in sockets:
            bound.close()


def test_a_port_in_use_is_named_with_its_setting() -> None:
    [bound] = listen("127.0.0.1", 0, "X", 1)
    port = bound.getsockname()[1]
    with bound, pytest.raises(StartError, match=f"Port {port} on 127.0.0.1 is in use.*TIDEGATE_CONSOLE_PORT"):
        # A plain bind with SO_REUSEPORT would succeed here: the same user holds the port.
        listen("127.0.0.1", port, "TIDEGATE_CONSOLE_PORT", 2)


def test_a_port_of_closed_connections_is_free() -> None:
    [bound] = listen("127.0.0.1", 0, "X", 1)
    address = bound.getsockname()
    bound.setblocking(True)
    with bound, socket.create_connection(address) as client:
        accepted, _ = bound.accept()
        accepted.close()
        assert client.recv(1) == b""
    check_free(address[0], address[1], "X")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartError, match=r"no address 192\.0\.2\.1.*TIDEGATE_HOST"):
        check_free("192.0.2.1", 8000, "TIDEGATE_GATEWAY_PORT")


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(StartError, match="TIDEGATE_HOST"):
        check_free("no such host", 8000, "TIDEGATE_GATEWAY_PORT")


def test_ipv6_works_where_the_machine_has_it() -> None:
    try:
        check_free("::1", 0, "X")
    except StartError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    [bound] = listen("::1", 0, "X", 1)
    with bound:
        assert bound.family == socket.AF_INET6
