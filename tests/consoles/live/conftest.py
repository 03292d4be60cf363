"""One console for all tests of live views."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.consoles.live.console import Console, Worker, running


def pytest_itemcollected(item: pytest.Item) -> None:
    """A module's console is started by one of the processes that run tests side by side, not by each."""
    if isinstance(item, pytest.Function) and "console" in item.fixturenames:
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The console of a module."""
    with running(tmp_path_factory.mktemp("console")) as console:
        yield console


@pytest.fixture
def worker(console: Console) -> Iterator[Worker]:
    """A worker of its node."""
    worker = Worker(console.data)
    yield worker
    worker.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory without a console."""
    return tmp_path
