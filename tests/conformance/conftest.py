"""One open gateway for all tables; tests with limits or routes of their own start another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.gateway import Gateway, open_snapshot, running


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One worker with one open route, default limits."""
    with running(tmp_path_factory.mktemp("node"), open_snapshot()) as started:
        yield started
