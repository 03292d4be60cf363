"""The limit of open files."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import resource
from proxy.supervisor.limits import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
print(raise_open_files())
"""


def test_the_soft_limit_becomes_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "128\n"
