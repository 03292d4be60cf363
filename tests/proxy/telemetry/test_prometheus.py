"""The text for Prometheus: its own parser takes it, histograms add up, every name is documented."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.metrics import NAMES, Metrics
from proxy.telemetry.prometheus import GAUGES, escape, render
from proxy.telemetry.record import OK, REJECTED
from proxy.telemetry.status import READY, REVISION, STATE, STOPPED, WorkerStatus

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(
    rf'({_NAME})(?:\{{((?:{_NAME}="(?:[^"\\\n]|\\[\\n"])*",?)*)\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)'
)


def strictly(text: str) -> dict[str, int]:
    """Check the rules of the format (prometheus/docs, exposition_formats.md) that parsers may be lax about.

    One HELP and one TYPE per family, right before its samples; no series twice; label names once; counters end
    in _total; a histogram's parts only. Returns the number of samples of each family.
    """
    assert text.endswith("\n")
    counts: dict[str, int] = {}
    helped, kind, family = "", "", ""
    seen: set[str] = set()
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            helped = line.split(" ", 3)[2]
            assert line.split(" ", 3)[3].strip() and helped not in counts
        elif line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family == helped and family not in counts
            assert kind in ("counter", "gauge", "histogram")
            assert (kind == "counter") == family.endswith("_total")
            counts[family] = 0
        else:
            found = _SAMPLE.fullmatch(line)
            assert found is not None, line
            ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            assert found[1] in [family + end for end in ends], line
            labels = re.findall(rf'({_NAME})="((?:[^"\\]|\\.)*)"', found[2] or "")
            assert len({name for name, _ in labels}) == len(labels)
            series = f"{found[1]} {sorted(labels)}"
            assert series not in seen, series
            seen.add(series)
            counts[family] += 1
    return counts


def samples(folder: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(render(folder).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_counters_are_summed_over_workers(tmp_path: Path) -> None:
    workers = [WorkerStatus(tmp_path / f"{slot}.status") for slot in range(3)]
    for slot, status in enumerate(workers):
        metrics = Metrics(status)
        for _ in range(slot + 1):
            metrics.route("orders", "read").observe(200, OK, 3_000, 2_000, 7, 100)
            metrics.bump("retries")
            metrics.policy("acl", "acl-1", "observed")
        metrics.route("orders", f"only-{slot}").observe(429, REJECTED, 100, 0, 0, 0)
    found = samples(tmp_path)
    read = (("api", "orders"), ("route", "read"))
    assert found["tidegate_requests_total", (read[0], ("code", "200"), read[1], ("state", "ok"))] == 6
    assert found["tidegate_request_duration_seconds_count", read] == 6
    assert found["tidegate_request_duration_seconds_sum", read] == pytest.approx(0.018)
    assert found["tidegate_upstream_duration_seconds_sum", read] == pytest.approx(0.012)
    assert found["tidegate_request_bytes_total", read] == 42
    assert found["tidegate_response_bytes_total", read] == 600
    assert found["tidegate_retries_total", ()] == 6
    assert (
        found[
            "tidegate_policy_decisions_total",
            (("label", "acl-1"), ("outcome", "observed"), ("policy", "acl")),
        ]
        == 6
    )
    assert sum(value for (name, _), value in found.items() if name == "tidegate_requests_total") == 9
    for status in workers:
        status.close()


def test_buckets_are_cumulative_and_end_in_the_count(tmp_path: Path) -> None:
    status = WorkerStatus(tmp_path / "0.status")
    meter = Metrics(status).route("a", "r")
    for duration in (100, 700, 700, 45_000, 2_000_000, 99_000_000):
        meter.observe(200, OK, duration, 0, 0, 0)
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in samples(tmp_path).items()
        if name == "tidegate_request_duration_seconds_bucket" and ("route", "r") in labels
    }
    assert buckets["0.0005"] == 1
    assert buckets["0.001"] == 3
    assert buckets["0.05"] == 4
    assert buckets["60"] == 5
    assert buckets["+Inf"] == 6
    in_order = [buckets[bound] for bound in sorted(buckets, key=float)]
    assert in_order == sorted(in_order)
    status.close()


def test_gauges_of_the_living_only(tmp_path: Path) -> None:
    alive, stopped = WorkerStatus(tmp_path / "0.status"), WorkerStatus(tmp_path / "1.status")
    for status, state in ((alive, READY), (stopped, STOPPED)):
        status.numbers[STATE] = state
        status.numbers[REVISION] = 41
    found = samples(tmp_path)
    assert found["tidegate_worker_up", (("slot", "0"),)] == 1
    assert found["tidegate_worker_up", (("slot", "1"),)] == 0
    assert found["tidegate_snapshot_revision", (("slot", "0"),)] == 41
    assert ("tidegate_snapshot_revision", (("slot", "1"),)) not in found
    alive.close()
    stopped.close()


@pytest.mark.parametrize(
    "value", ['quote " end', "back\\slash", "line\nfeed", '\\"\n\\n', "grüße ✓", "a,b={}#"]
)
def test_label_values_are_escaped(tmp_path: Path, value: str) -> None:
    status = WorkerStatus(tmp_path / "0.status")
    Metrics(status).route("a", value).observe(200, OK, 1, 0, 0, 0)
    routes = {dict(labels).get("route") for _, labels in samples(tmp_path)}
    assert value in routes
    assert "\n" not in escape(value)
    status.close()


HOSTILE = [
    'a"} 1\ntidegate_requests_total{api="x',
    "\\",
    "a\\n",
    '\\"',
    "line\r\nfeed",
    "\x00\x1b[31m",
    "\u2028\x85\x0b\x0c",
    "\ud800",
    "?",
    "x" * 127 + "é" * 5,
    "x" * 127 + "é" * 6,
    "",
    "_other",
    "🦆" * 200,
]


def test_hostile_names_break_no_rule_of_the_format(tmp_path: Path) -> None:
    workers = [WorkerStatus(tmp_path / f"{slot}.status") for slot in range(2)]
    for status in workers:
        status.numbers[STATE] = READY
        metrics = Metrics(status)
        for name in HOSTILE:
            for other in HOSTILE[:4]:
                metrics.route(name, other).observe(200, OK, 1, 1, 1, 1)
            metrics.policy(name, name, "refused")
    text = render(tmp_path).decode()
    counts = strictly(text)
    assert counts["tidegate_worker_up"] == 2
    assert counts["tidegate_requests_total"] > 40
    total = sum(value for (name, _), value in samples(tmp_path).items() if name == "tidegate_requests_total")
    assert total == len(workers) * len(HOSTILE) * 4
    for status in workers:
        status.close()


def test_no_worker_yet_is_all_zero(tmp_path: Path) -> None:
    found = samples(tmp_path)
    assert found["tidegate_retries_total", ()] == 0
    assert not any(name == "tidegate_worker_up" for name, _ in found)


def test_a_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    status = WorkerStatus(tmp_path / "0.status")
    Metrics(status).bump("retries")
    (tmp_path / "1.status").write_bytes(b"half made")
    assert samples(tmp_path)["tidegate_retries_total", ()] == 1
    status.close()


def test_every_name_is_documented_and_no_other(tmp_path: Path) -> None:
    names = set(re.findall(r"^# TYPE (\S+)", render(tmp_path).decode(), re.MULTILINE))
    assert len(names) == len(NAMES) + len(GAUGES) + 1 + 8
    documented = set(re.findall(r"^\| `(tidegate_\w+)", DOCUMENT.read_text(), re.MULTILINE))
    assert names == documented
