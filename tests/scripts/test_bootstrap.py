"""`make run` on machines where something is missing: one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "bootstrap.py"
LAUNCH = "import runpy, sys; {}; sys.argv[0] = 'bootstrap.py'; runpy.run_path({!r}, run_name='__main__')"


def bootstrap(
    *arguments: str, before: str = "pass", script: Path = SCRIPT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the script after some code has bent the interpreter."""
    return subprocess.run(
        [sys.executable, "-c", LAUNCH.format(before, str(script)), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_old_python_is_told_so() -> None:
    done = bootstrap("run", before="sys.version_info = (3, 10, 4)")
    assert done.returncode == 1
    assert done.stderr.startswith("tidegate: Python 3.11 or newer is needed")
    assert "make PYTHON=" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_so(module: str) -> None:
    done = bootstrap("run", before=f"sys.modules[{module!r}] = None")
    assert done.returncode == 1
    assert f"lacks the module {module}" in done.stderr
    assert "apt install python3-venv" in done.stderr


def test_a_data_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = bootstrap("run", TIDEGATE_DATA=str(tmp_path / "file" / "data"))
    assert done.returncode == 1
    assert f"no permission to write in {tmp_path / 'file'}" in done.stderr
    assert "TIDEGATE_DATA" in done.stderr


def test_an_unknown_action_names_the_known_ones() -> None:
    done = bootstrap("fly")
    assert "there are run, test, check and bench, not fly" in done.stderr


def test_a_failing_installation_shows_why(tmp_path: Path) -> None:
    copy = tmp_path / "scripts" / "bootstrap.py"
    copy.parent.mkdir()
    copy.write_text(SCRIPT.read_text())
    (tmp_path / "requirements.txt").write_text("./no-such-package\n")
    done = bootstrap("run", script=copy)
    assert done.returncode == 1
    assert "no-such-package" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("tidegate: the packages cannot be installed")
    assert not (tmp_path / ".venv" / "tidegate-stamp").exists()


def test_a_second_start_installs_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "scripts" / "bootstrap.py"
    copy.parent.mkdir()
    copy.write_text(SCRIPT.read_text())
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "manage.py").write_text("import os, sys; print(sys.argv[1:], os.environ['TIDEGATE_DEMO'])")
    first, second = bootstrap("run", script=copy), bootstrap("run", script=copy, TIDEGATE_DEMO="0")
    assert first.stdout.startswith("setting up .venv from requirements.txt")
    assert first.stdout.splitlines()[-1] == "['rungateway', '--migrate'] 1"
    assert second.stdout == "['rungateway', '--migrate'] 0\n"
    (tmp_path / "requirements.txt").write_text("# changed\n")
    assert bootstrap("run", script=copy).stdout.startswith("setting up")


def test_a_chosen_python_that_is_not_there_is_named() -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "scripts" / "python"), "python9.9", "x.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "tidegate: PYTHON=python9.9: there is no such program.\n")


def test_no_python_at_all_is_said() -> None:
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "python"), "", "x.py"],
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no Python found" in done.stderr
