"""The launcher: a child whose parent is gone does not start; one that is in no hurry steps back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import proxy.supervisor.launch as launch

COMMAND = [sys.executable, "-I", "-S", str(Path(launch.__file__))]


def test_it_becomes_the_command() -> None:
    parent = str(os.getpid())
    done = subprocess.run([*COMMAND, parent, "9", "0", "echo", "hello"], capture_output=True, check=False)
    assert done.stdout == b"hello\n"


def test_it_leaves_if_its_parent_is_another() -> None:
    done = subprocess.run([*COMMAND, "1", "9", "0", "echo", "hello"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_it_steps_back() -> None:
    parent, own = str(os.getpid()), os.nice(0)
    done = subprocess.run([*COMMAND, parent, "9", "7", "nice"], capture_output=True, check=False)
    assert int(done.stdout) == min(own + 7, 19)
