"""How fast one core turns a spool into rollups, with and without the raw records.

Run `python benchmarks/probe_ingest.py [RECORDS] [DATABASE_URL] [--json]`; it takes about ten seconds and makes its
own SQLite database unless a URL is given. Traffic: 5,000 requests/s for 25 Apis with 4 Routes and 2 Targets each
from 500 Apps, few of them busy, each with one Api; 3 % of the calls are refused, 5 % fail.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PER_SECOND = 5000
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def fill(folder: Path, count: int) -> None:
    """A spool of `count` records, which end now."""
    from msgspec.structs import replace

    from proxy.telemetry.spool import Spool
    from tests.records import RECORD

    chance = random.Random(7)
    spool = Spool(folder, node="probe", slot=0, max_bytes=1 << 40)
    began = time.time() - count / PER_SECOND
    for index in range(count):
        app = min(int(chance.expovariate(0.02)), 499)
        api = app % 25
        refused = chance.random() < 0.03
        duration = int(chance.lognormvariate(8.5, 0.8))
        spool.append(
            replace(
                RECORD,
                time=began + index / PER_SECOND,
                duration_us=duration,
                request_id=f"{chance.getrandbits(96):024x}",
                trace_id=f"{chance.getrandbits(128):032x}",
                path=f"/v1/orders/{index}",
                api=f"api-{api}",
                route=f"api-{api}-route-{chance.randrange(4)}",
                app=f"app-{app}",
                state=1 if refused else 0,
                status=429 if refused else chance.choices((200, 404, 500), (95, 4, 1))[0],
                target="" if refused else f"10.0.{api}.{chance.randrange(2)}:8080",
                upstream_us=0 if refused else int(duration * 0.8),
                code="rate_limited" if refused else "",
                policy="rate-limit" if refused else "",
            )
        )
    spool.close()


def probe(folder: Path, keep_raw: bool) -> dict[str, Any]:
    """Ingest a folder; the rate and what came of it."""
    from django.db import connection

    from analytics.ingest import Ingester
    from analytics.models import DayRollup, HourRollup, MinuteRollup, RawRecord, Series

    ingester = Ingester(folder, keep_raw=keep_raw)
    begun, cpu = time.perf_counter(), time.process_time()
    report = ingester.run(600)
    seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    return {
        "raw": keep_raw,
        "database": connection.vendor,
        "rate": report.records / seconds,
        "cpu_rate": report.records / used,
        "series": Series.objects.count(),
        "rollups": sum(table.objects.count() for table in (MinuteRollup, HourRollup, DayRollup)),
        "rows": RawRecord.objects.count(),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def show(found: dict[str, Any]) -> str:
    """One line for people."""
    return (
        f"{'with' if found['raw'] else 'without'} raw records, {found['database']}: {found['rate']:,.0f} records/s "
        f"({found['cpu_rate']:,.0f} per CPU second of ours), {found['series']:,} series, {found['rollups']:,} rollups, "
        f"{found['rows']:,} raw, {found['mib']} MiB"
    )


def main() -> None:
    """Both ways, in one fresh database each."""
    arguments = [one for one in sys.argv[1:] if one != "--json"]
    count = int(arguments[0]) if arguments else 200_000
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TIDEGATE_DATA"] = scratch
        if len(arguments) > 1:
            os.environ["DATABASE_URL"] = arguments[1]
        os.environ["DJANGO_SETTINGS_MODULE"] = "gatewayproject.settings"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        for keep_raw in (False, True):
            folder = Path(scratch) / f"spool-{keep_raw}"
            fill(folder, count)
            found = probe(folder, keep_raw)
            print(json.dumps(found) if "--json" in sys.argv else show(found), flush=True)


if __name__ == "__main__":
    main()
