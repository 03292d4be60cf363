"""`manage.py traffic tail`, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from django.core.management import CommandError, call_command

from proxy.telemetry.spool import Spool
from tests.proxy.telemetry.test_spool import RECORD, record

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def spool(tmp_path: Path, settings: object) -> Spool:
    settings.TIDEGATE_DATA = tmp_path
    return Spool(tmp_path / "node" / "spool", node="n", slot=0)


def tail(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("traffic", "tail", "--no-follow", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_last_n(spool: Spool) -> None:
    for number in range(30):
        spool.append(record(number))
    assert len(tail()) == 20
    assert [shown.rpartition("id=")[2] for shown in tail("-n", "2")] == ["r28", "r29"]
    spool.close()


def test_json_is_one_object_per_line(spool: Spool) -> None:
    spool.append(msgspec.structs.replace(RECORD, user_agent="\x1b[2J\n"))
    (shown,) = tail("--json")
    found = json.loads(shown)
    assert (found["state"], found["status"], found["user_agent"]) == ("ok", 200, "\x1b[2J\n")
    assert shown.isprintable()
    spool.close()


def test_filters(spool: Spool) -> None:
    for number, (route, status) in enumerate([("a", 200), ("b", 404), ("a", 503), ("b", 200)]):
        spool.append(msgspec.structs.replace(record(number), route=route, status=status))
    assert len(tail("--route", "a")) == 2
    assert len(tail("--route", "orders/b")) == 2
    assert len(tail("--status", "4xx")) == 1
    assert len(tail("--route", "a", "--status", "503")) == 1
    assert tail("--route", "c") == []
    spool.close()


def test_a_wrong_status_is_explained(spool: Spool) -> None:
    with pytest.raises(CommandError, match="404, 4xx"):
        tail("--status", "many")
    spool.close()


def test_without_a_spool_it_says_what_to_do(tmp_path: Path, settings: object) -> None:
    settings.TIDEGATE_DATA = tmp_path
    with pytest.raises(CommandError, match="Start the gateway"):
        tail()


def _started(tmp_path: Path) -> subprocess.Popen[str]:
    # A shell has what it starts in the background ignore Ctrl-C, and that is inherited.
    code = (
        "import signal, sys, pathlib, django\nfrom django.conf import settings\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "settings.configure(TIDEGATE_DATA=pathlib.Path(sys.argv[1]), INSTALLED_APPS=[])\ndjango.setup()\n"
        "from django.core.management import call_command\n"
        "from proxy.management.commands.traffic import Command\ncall_command(Command(), 'tail')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_follows_and_ends_quietly_with_ctrl_c(spool: Spool, tmp_path: Path) -> None:
    spool.append(record(0))
    with _started(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("id=r0\n")
        spool.append(record(1))
        assert process.stdout.readline().endswith("id=r1\n")
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=10)
    assert (out, error, process.returncode) == ("", "", 0)
    spool.close()


def test_it_ends_quietly_when_nobody_reads_any_more(spool: Spool, tmp_path: Path) -> None:
    spool.append(record(0))
    with _started(tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        spool.append(record(1))
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == ""
    spool.close()
