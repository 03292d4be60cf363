"""How fast one core turns a spool into rollups, with and without the raw records.

Run `python benchmarks/probe_ingest.py [RECORDS] [DATABASE_URL]`; it takes about ten seconds and makes its own
SQLite database unless a URL is given. Traffic: 5,000 requests/s for 25 Apis with 4 Routes and 2 Targets each
from 500 Apps, few of them busy, each with one Api; 3 % of the calls are refused, 5 % fail.
"""

from __future__ import annotations

import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

PER_SECOND = 5000
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def fill(folder: Path, count: int) -> int:
    """A spool of `count` records of the last two minutes; returns its bytes."""
    from proxy.telemetry.record import TrafficRecord
    from proxy.telemetry.spool import Spool, folder_bytes

    chance = random.Random(7)
    spool = Spool(folder, node="probe", slot=0, max_bytes=1 << 40)
    began = time.time() - count / PER_SECOND
    for index in range(count):
        app = min(int(chance.expovariate(0.02)), 499)
        api = app % 25
        refused = chance.random() < 0.03
        duration = int(chance.lognormvariate(8.5, 0.8))
        spool.append(
            TrafficRecord(
                time=began + index / PER_SECOND,
                duration_us=duration,
                request_id=f"{chance.getrandbits(96):024x}",
                trace_id=f"{chance.getrandbits(128):032x}",
                method="GET",
                host="api.example.com",
                path=f"/v1/orders/{index}",
                user_agent="curl/8.1.2",
                api=f"api-{api}",
                route=f"api-{api}-route-{chance.randrange(4)}",
                revision=12,
                app=f"app-{app}",
                credential="4711",
                state=1 if refused else 0,
                status=429 if refused else chance.choices((200, 404, 500), (95, 4, 1))[0],
                client_ip="192.0.2.10",
                plan="gold",
                target="" if refused else f"10.0.{api}.{chance.randrange(2)}:8080",
                upstream_us=0 if refused else int(duration * 0.8),
                bytes_in=0,
                bytes_out=138,
                tries=1,
                code="rate_limited" if refused else "",
                policy="rate-limit" if refused else "",
                rule="",
                observed="",
                protocol="HTTP/1.1",
            )
        )
    spool.close()
    return folder_bytes(folder)


def probe(folder: Path, keep_raw: bool) -> None:
    """Ingest a folder and print the rate."""
    from django.db import connection

    from analytics.ingest import Ingester
    from analytics.models import DayRollup, HourRollup, MinuteRollup, RawRecord, Series

    ingester = Ingester(folder, keep_raw=keep_raw)
    begun, cpu = time.perf_counter(), time.process_time()
    report = ingester.run(600)
    seconds, used = time.perf_counter() - begun, time.process_time() - cpu
    rows = sum(table.objects.count() for table in (MinuteRollup, HourRollup, DayRollup))
    print(
        f"{'with' if keep_raw else 'without'} raw records, {connection.vendor}: "
        f"{report.records / seconds:,.0f} records/s ({report.records / used:,.0f} per CPU second of ours), "
        f"{Series.objects.count():,} series, {rows:,} rollups, {RawRecord.objects.count():,} raw, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
    )


def main() -> None:
    """Both ways, in one fresh database each."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TIDEGATE_DATA"] = scratch
        if len(sys.argv) > 2:
            os.environ["DATABASE_URL"] = sys.argv[2]
        os.environ["DJANGO_SETTINGS_MODULE"] = "gatewayproject.settings"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        for keep_raw in (False, True):
            folder = Path(scratch) / f"spool-{keep_raw}"
            print(f"{count:,} records, {fill(folder, count) / 1e6:,.0f} MB")
            probe(folder, keep_raw)


if __name__ == "__main__":
    main()
