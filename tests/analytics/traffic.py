"""Traffic records and spools for tests, and the sums that must agree."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from msgspec.structs import replace

from proxy.telemetry.record import TrafficRecord
from proxy.telemetry.spool import Spool
from tests.records import RECORD


def record(**fields: object) -> TrafficRecord:
    """One record, of just now unless told otherwise."""
    fields.setdefault("time", time.time())
    fields.setdefault("request_id", f"{random.getrandbits(96):024x}")
    return replace(RECORD, **fields)


def varied(
    count: int, seed: int = 1, *, now: float | None = None, spread: float = 7200
) -> list[TrafficRecord]:
    """Records that differ in everything, over the last `spread` seconds."""
    chance = random.Random(seed)
    now = time.time() if now is None else now
    made = []
    for index in range(count):
        refused = chance.random() < 0.1
        api = chance.randrange(3)
        duration = int(chance.lognormvariate(8, 1))
        made.append(
            record(
                time=now - chance.random() * spread,
                request_id=f"{seed:08x}{index:016x}",
                duration_us=duration,
                upstream_us=0 if refused else duration // 2,
                api=f"api-{api}",
                route=f"api-{api}-{chance.randrange(2)}",
                app=f"app-{chance.randrange(5)}",
                plan=chance.choice(["gold", "basic"]),
                target="" if refused else f"10.0.0.{chance.randrange(2)}:80",
                state=1 if refused else chance.choice([0, 0, 0, 0, 2, 3]),
                status=429 if refused else chance.choice([200, 200, 200, 404, 500, 0]),
                code=chance.choice(["rate_limited", "invalid_key"]) if refused else "",
                policy="rate-limit" if refused else "",
                observed="ip-restriction" if chance.random() < 0.05 else "",
                bytes_in=chance.randrange(100),
                bytes_out=chance.randrange(10_000),
            )
        )
    return made


def spool(
    folder: Path, records: list[TrafficRecord], *, slot: int = 0, segment_bytes: int = 64 * 1024
) -> None:
    """Sealed segments with these records."""
    writer = Spool(folder, node="node", slot=slot, segment_bytes=segment_bytes)
    for item in records:
        writer.append(item)
    writer.close()
    assert writer.dropped == 0


def sums() -> dict[str, int]:
    """How many requests each table and grain has counted; all must agree."""
    from django.db.models import Sum

    from analytics.grains import GRAINS
    from analytics.models import IngestTotals, RawRecord
    from analytics.rollups import TABLES

    found = {"raw": RawRecord.objects.count(), "totals": IngestTotals.load().records}
    for step, table in TABLES.items():
        rows = table.objects.values_list("series__grain").annotate(number=Sum("count"))
        by_grain = dict(rows)
        for grain in GRAINS:
            found[f"{grain.name} {step}"] = by_grain.get(grain.number, 0)
    return found


def assert_counted(records: list[TrafficRecord]) -> None:
    """Exactly these are counted, everywhere, and stored once each."""
    from analytics.models import RawRecord

    ids = Counter(RawRecord.objects.values_list("request_id", flat=True))
    assert ids == Counter(item.request_id for item in records)
    failed = sum(bool(item.code) for item in records)
    wrong = {
        name: number
        for name, number in sums().items()
        if number != (failed if name.startswith("error") else len(records))
    }
    assert not wrong, (wrong, len(records))
