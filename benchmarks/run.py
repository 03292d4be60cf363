"""`make bench`: measures Tidegate beside nginx, HAProxy and Envoy, and what else it promises in numbers.

    python benchmarks/run.py [--rounds N] [--seconds S] [--only SECTION ...] [--quick] [--write]

Prints tables, writes `benchmarks/results.json`, with `--write` also `benchmarks/RESULTS.md`. The exit code is
1 if a section could not be run; a target that is missed is only said.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks.machine import GATEWAY_CORE, LOAD_CORE, facts, raise_file_limit
from benchmarks.stage import Missing, Options, Stage
from benchmarks.table import Result, Table, markdown_table, render

HERE = Path(__file__).absolute().parent
SECTIONS = (
    "throughput",
    "whole",
    "scaling",
    "latency",
    "routes",
    "keys",
    "publish",
    "idle",
    "memory",
    "limit",
    "kill",
    "pages",
    "ingest",
)


def main() -> int:
    """Run the sections; the exit code."""
    given = _arguments()
    options = Options(rounds=given.rounds, seconds=given.seconds, quick=given.quick)
    if given.quick:
        options.rounds, options.seconds = 1, 1.0
    raise_file_limit()
    print(_introduction(given))
    results: list[Result] = []
    failed: list[str] = []
    for name in given.only or SECTIONS:
        started = time.monotonic()
        try:
            with Stage(options) as stage:
                result = importlib.import_module(f"benchmarks.sections.{name}").run(stage)
        except Missing as missing:
            result = Result(name, name.capitalize(), notes=[f"Left out: there is no {missing}."])
        except Exception as error:
            traceback.print_exc()
            failed.append(name)
            result = Result(
                name, name.capitalize(), notes=[f"Could not be run: {type(error).__name__}: {error}"]
            )
        result.raw["seconds"] = round(time.monotonic() - started, 1)
        results.append(result)
        print("\n" + render(result), flush=True)
    _write(given, results)
    if failed:
        print(f"\ncould not be run: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure Tidegate beside other gateways.")
    parser.add_argument(
        "--rounds", type=int, default=5, help="interleaved rounds, of which the median counts (5)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round (3)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="all small: shows that it works, not how fast")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    return parser.parse_args()


def _command(given: argparse.Namespace) -> str:
    """What to type to get the same."""
    parts = [f"--rounds {given.rounds} --seconds {given.seconds:g}"] if not given.quick else ["--quick"]
    if given.only:
        parts.append("--only " + " ".join(given.only))
    if given.write:
        parts.append("--write")
    return f'make bench ARGS="{" ".join(parts)}"'


def _introduction(given: argparse.Namespace) -> str:
    machine = facts()
    lines = [f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, `{_command(given)}`", ""]
    lines.append(
        markdown_table(Table(("machine", ""), [(name, str(value)) for name, value in machine.items()]))
    )
    lines += [
        "",
        f"The gateway under test runs on core {GATEWAY_CORE}, its upstream (nginx) and the load generator on core "
        f"{LOAD_CORE}, unless a section says otherwise.",
    ]
    return "\n".join(lines)


def _write(given: argparse.Namespace, results: list[Result]) -> None:
    """The JSON, and RESULTS.md if it is wanted; with `--only` the other sections of the last run stay."""
    path = HERE / "results.json"
    stamp = {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", "command": _command(given)}
    sections = {result.name: stamp | result.as_json() for result in results}
    if given.only and path.exists():
        former = json.loads(path.read_text())
        if former["machine"] == facts():
            sections = {section["name"]: section for section in former["sections"]} | sections
    ordered = [sections[name] for name in SECTIONS if name in sections]
    document = stamp | {"machine": facts(), "sections": ordered}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if given.write:
        (HERE / "RESULTS.md").write_text(_report(given, ordered))


def _report(given: argparse.Namespace, sections: list[dict[str, Any]]) -> str:
    results = [Result.from_json(section) for section in sections]
    for section, result in zip(sections, results, strict=True):
        if section["command"] != _command(given):
            result.notes.append(f"{section['date']}, `{section['command']}`")
    return (
        "\n\n".join(["# Benchmark results", _introduction(given), _summary(results), *map(render, results)])
        + "\n"
    )


def _summary(results: list[Result]) -> str:
    targets = [target for result in results for target in result.targets]
    met = sum(target.verdict == "met" for target in targets)
    missed = [target.what for target in targets if target.verdict != "met"]
    rest = f" Not met: {'; '.join(missed)}." if missed else ""
    return f"{met} of {len(targets)} targets are met.{rest}"


if __name__ == "__main__":
    sys.exit(main())
