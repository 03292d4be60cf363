"""What the kernel says of processes is read right."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.machine import cpu, facts, family, private_memory, resident_memory


def test_processor_time_is_that_of_the_process() -> None:
    before = cpu([os.getpid()])
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    used = cpu([os.getpid()]).since(before).total
    assert 0.15 <= used <= 1.0


def test_family_has_grandchildren() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = family(parent.pid)
        parent.communicate("\n")
    assert len(found) == 2
    assert found[0] == parent.pid


def test_memory_that_is_taken_is_private_and_resident() -> None:
    private, resident = private_memory(os.getpid()), resident_memory(os.getpid())
    block = bytearray(b"x" * 20_000_000)
    assert private_memory(os.getpid()) - private > 15_000_000
    assert resident_memory(os.getpid()) - resident > 15_000_000
    assert len(block) == 20_000_000


def test_facts_name_no_host_and_no_path() -> None:
    text = " ".join(map(str, facts().values()))
    assert "/" not in text
    assert os.uname().nodename not in text.split()
