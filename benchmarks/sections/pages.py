"""How long the pages of console and portal take in a big installation."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from benchmarks.stage import ROOT, Broken, Stage, python
from benchmarks.table import Result, Table, Target

TITLE = "Pages of console and portal"
LIMIT = 300.0
SHOWN = 12
_OURS = ("TIDEGATE_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "NODE_NAME")


def run(stage: Stage) -> Result:
    """Every page that the URL table has, with sample data in a database of its own."""
    result = Result("pages", TITLE)
    size = ["routes=40", "apps=50", "keys=100", "days=2", "records=500"] if stage.options.quick else []
    made = _visit(stage, size)
    pages = sorted(made["pages"], key=lambda page: -page["median"])
    table = Table(("page", "median in ms", "first in ms", "CPU in ms", "queries", "bytes of HTML"))
    for page in pages[:SHOWN]:
        name = f"{page['site']} {page['name']}"
        table.rows.append((name, page["median"], page["first"], page["cpu"], page["queries"], page["bytes"]))
    result.tables.append(table)
    result.targets += [
        Target("slowest page", pages[0]["median"], "most", LIMIT, "ms"),
        Target("most queries of a page", max(page["queries"] for page in pages), "most", 30),
    ]
    result.notes.append(
        f"The {SHOWN} slowest of {len(pages)} pages; 2,000 Routes, 5,000 Apps, 20,000 keys, 30 days of rollups, "
        "SQLite; signed in, through all middleware, without the network. First: nothing is cached for this page yet."
        if not size
        else f"The {SHOWN} slowest of {len(pages)} pages of a small installation."
    )
    result.raw.update(made)
    return result


def _visit(stage: Stage, size: list[str]) -> dict[str, Any]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    folder = stage.folder / "pages"
    folder.mkdir()
    command = python("benchmarks.visit_pages", str(stage.options.rounds), *size)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "TIDEGATE_DATA": str(folder)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode:
        raise Broken(f"the pages could not be visited: {done.stderr[-1500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
