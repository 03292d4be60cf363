"""docs/limits.md says of every limit and every refusal what there is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from proxy.config.snapshot import Limits, Upstream

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "limits.md").read_text()
SCALES = {"KiB": 1024, "MiB": 1024 * 1024}
GATEWAY, _, UPSTREAM = TEXT.partition("## Of an Upstream")
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", GATEWAY, re.MULTILINE))
NO_BOUND = {
    "name", "targets", "protocol", "algorithm", "host_header", "tls_verify", "tls_ca", "tls_server_name", "health",
    "outlier",
}  # fmt: skip


@pytest.mark.parametrize("field", msgspec.structs.fields(Limits), ids=lambda field: field.name)
def test_every_limit_is_there_with_its_default(field: msgspec.structs.FieldInfo) -> None:
    number, _, unit = ROWS[field.name].strip().partition(" ")
    assert float(number) * SCALES.get(unit, 1) == field.default


BOUNDS = [field for field in msgspec.structs.fields(Upstream) if field.name not in NO_BOUND]


@pytest.mark.parametrize("field", BOUNDS, ids=lambda field: field.name)
def test_every_bound_of_an_upstream_is_there_with_its_default(field: msgspec.structs.FieldInfo) -> None:
    row = re.search(rf"^\| `{field.name}` \| ([0-9.]+)", UPSTREAM, re.MULTILINE)
    assert row is not None
    assert float(row[1]) == field.default


def test_every_refusal_of_edge_and_door_is_there() -> None:
    sources = [ROOT / "proxy" / "http" / "edge.py", ROOT / "proxy" / "doors" / "native.py"]
    found = re.findall(r'(?:refuse|problem)\(\s*(\d{3}), "([a-z-]+)"', "".join(map(Path.read_text, sources)))
    assert len(found) > 15
    for status, code in found:
        assert f"{status} `{code}`" in TEXT, (status, code)
