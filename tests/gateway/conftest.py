"""Fixtures of the tests that run a whole gateway; see `tests/gateway/doors.py` for how to use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.doors import DOORS, GatewayFactory, gateways
from tests.upstreams import Service


def pytest_itemcollected(item: pytest.Item) -> None:
    """A module's gateways are started by one of the processes that run tests side by side, not by each."""
    if isinstance(item, pytest.Function) and "gateway" in item.fixturenames:
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayFactory]:
    """`gateway(door, config)` is a running Gateway; all end with the module."""
    with gateways() as factory:
        yield factory


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """Each door in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Service]:
    """One upstream for the module: echoes, unless a test scripts a path (`tests/upstreams.py`)."""
    with Service() as service:
        yield service
