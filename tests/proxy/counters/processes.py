"""Starts several hammers that begin together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HAMMER = Path(__file__).with_name("hammer.py")
ROOT = HAMMER.parents[3]


def start(*arguments: object, script: Path = HAMMER) -> subprocess.Popen[str]:
    """One process, which has said `ready`."""
    process = subprocess.Popen(
        [sys.executable, str(script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def admitted(kind: str, place: object, *, processes: int, hits: int, amount: int, algorithm: str) -> int:
    """How many of `hits` hits, spread over so many processes, were admitted."""
    each = hits // processes
    running = [start(kind, place, each, amount, algorithm) for _ in range(processes)]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(int(process.communicate(timeout=60)[0]) for process in running)
