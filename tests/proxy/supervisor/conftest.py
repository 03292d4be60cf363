"""Fixtures of the supervisor's tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.supervisor.stage import Stage


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Starts stages, and ends them after the test with all their workers."""
    stages: list[Stage] = []

    def begin(**options: Any) -> Stage:
        stages.append(Stage(tmp_path / "node", **options))
        return stages[-1]

    yield begin
    for stage in stages:
        stage.stop()
        for pid in stage.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
