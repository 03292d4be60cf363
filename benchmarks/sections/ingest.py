"""How many records one core turns into rollups in a second, with and without the traffic log."""

from __future__ import annotations

import json
import os
import subprocess

from benchmarks.machine import GATEWAY_CORE
from benchmarks.stage import ROOT, Broken, Stage, pinned, python
from benchmarks.table import Result, Table, Target

TITLE = "Ingestion"
WANTED = 50_000.0
_OURS = ("TIDEGATE_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "NODE_NAME")


def run(stage: Stage) -> Result:
    """`benchmarks/probe_ingest.py` on one core, into a SQLite database of its own."""
    result = Result("ingest", TITLE)
    count = stage.options.size(200_000, 5_000)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    command = pinned(python("benchmarks.probe_ingest", str(count), "--json"), GATEWAY_CORE)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise Broken(f"ingestion could not be measured: {done.stderr[-1500:]}")
    probes = [json.loads(line) for line in done.stdout.splitlines()]
    table = Table(("into", "records/s", "records per CPU second", "series", "rollups", "MiB"))
    for probe in probes:
        name = "rollups and traffic log" if probe["raw"] else "rollups"
        table.rows.append(
            (name, probe["rate"], probe["cpu_rate"], probe["series"], probe["rollups"], probe["mib"])
        )
    result.tables.append(table)
    result.targets.append(Target("into rollups", probes[0]["rate"], "least", WANTED, "records/s"))
    result.notes.append(
        f"{count:,} records of 500 Apps and 100 Routes at 5,000 a second, from sealed segments into SQLite, one "
        "process on one core; the traffic log has 28 columns and 6 indexes."
    )
    result.raw["probes"] = probes
    return result
