"""Loaded by `make test`: says in one place what was skipped; with TIDEGATE_CI=1 a skip is a failure."""

from __future__ import annotations

import os
from typing import Any

import pytest

STRICT = os.environ.get("TIDEGATE_CI") == "1"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """On a machine that has everything installed, nothing may be left out."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if STRICT and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Reasons of skips, counted."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    reasons: dict[str, int] = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    terminalreporter.section("not tested here" + (" (a failure in CI)" if STRICT else ""))
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4}  {reason.removeprefix('Skipped: ')}")
