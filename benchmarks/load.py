"""The load generators wrk and h2load: how they are called, and what their output says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import LOAD_CORE, find
from benchmarks.stage import Broken, Missing, pinned

VARYING = Path(__file__).with_name("configs") / "varying.lua"


class Load(NamedTuple):
    """What a load generator saw. `errors` counts answers other than 2xx and 3xx, and broken connections."""

    rate: float
    requests: int
    errors: int


def parse_wrk(text: str) -> Load:
    """The output of wrk. Raises `Broken` if it is none."""
    rate = re.search(r"^Requests/sec:\s*([\d.]+)", text, re.MULTILINE)
    requests = re.search(r"^\s*(\d+) requests in ", text, re.MULTILINE)
    if rate is None or requests is None:
        raise Broken(f"wrk said: {text[-500:]}")
    errors = 0
    bad = re.search(r"^\s*Non-2xx or 3xx responses: (\d+)", text, re.MULTILINE)
    if bad:
        errors += int(bad[1])
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if broken:
        errors += sum(map(int, broken.groups()))
    return Load(float(rate[1]), int(requests[1]), errors)


def parse_h2load(text: str) -> Load:
    """The output of h2load. Raises `Broken` if it is none."""
    rate = re.search(r"^finished in [\d.]+\w*, ([\d.]+) req/s", text, re.MULTILINE)
    counts = re.search(
        r"^requests: .*?(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text, re.MULTILINE
    )
    statuses = re.search(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text, re.MULTILINE)
    if rate is None or counts is None or statuses is None:
        raise Broken(f"h2load said: {text[-500:]}")
    done, _, failed, _ = map(int, counts.groups())
    bad = int(statuses[3]) + int(statuses[4])
    return Load(float(rate[1]), done, max(failed, bad))


def wrk(
    port: int,
    path: str,
    key: str,
    seconds: float,
    *,
    connections: int = 32,
    script: Sequence[str] = (),
    core: int | None = LOAD_CORE,
) -> Load:
    """One round of wrk; `script` is a Lua file and its arguments. Raises Missing, Broken."""
    program = find("wrk")
    if program is None:
        raise Missing("wrk (Debian: wrk)")
    whole = max(1, round(seconds))
    command = [program, "-t1", f"-c{connections}", f"-d{whole}s", "-H", f"X-Api-Key: {key}"]
    if script:
        command += ["-s", script[0]]
    command.append(f"http://127.0.0.1:{port}{path}")
    if script:
        command += ["--", *script[1:]]
    return parse_wrk(_run(pinned(command, core), seconds))


def h2load(port: int, path: str, key: str, seconds: float, *, connections: int = 8, streams: int = 4) -> Load:
    """One round of h2load over TLS. Raises Missing, Broken."""
    program = find("h2load")
    if program is None:
        raise Missing("h2load (Debian: nghttp2-client)")
    command = [program, "-t1", f"-c{connections}", f"-m{streams}", "-D", str(max(1, round(seconds)))]
    command += ["-H", f"x-api-key: {key}", f"https://127.0.0.1:{port}{path}"]
    return parse_h2load(_run(pinned(command, LOAD_CORE), seconds))


def _run(command: list[str], seconds: float) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise Broken(f"{command[3]}: {done.stderr[-500:] or done.stdout[-500:]}")
    return done.stdout
