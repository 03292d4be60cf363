"""Single children: output, ends, groups, inherited descriptors."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from proxy.supervisor.process import Command, Process
from tests.proxy.supervisor.stage import gone, wait_until


def python(code: str, **options: object) -> Command:
    return Command("child", (sys.executable, "-c", code), **options)  # type: ignore[arg-type]


async def run(command: Command) -> str:
    process = await Process.start(command)
    return await process.wait()


def test_output_of_both_kinds_is_prefixed(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); print('no end', end='')"
    assert asyncio.run(run(python(code))) == "exit code 0"
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines) == ["[child] no end", "[child] one", "[child] two"]


def test_an_endless_line_is_cut_not_collected(capfd: pytest.CaptureFixture[str]) -> None:
    asyncio.run(run(python("print('x' * 100_000)")))
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) > 4
    assert sum(line.count("x") for line in lines) == 100_000


def test_bytes_that_are_no_text_are_shown_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    asyncio.run(run(python(r"import os; os.write(1, b'\xff\n')")))
    assert capfd.readouterr().err == "[child] \\xff\n"


def test_the_end_is_told_in_words() -> None:
    assert asyncio.run(run(python("raise SystemExit(3)"))) == "exit code 3"
    assert asyncio.run(run(python("import os; os.kill(os.getpid(), 9)"))) == "signal SIGKILL"


def test_a_program_that_is_not_there_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    assert asyncio.run(run(Command("child", ("/no/such/program",)))) == "exit code 1"
    assert "cannot start /no/such/program: No such file" in capfd.readouterr().err


def test_descriptors_and_environment_are_handed_down(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    code = f"import os; os.write({descriptor}, os.environ['WORD'].encode())"
    try:
        asyncio.run(run(python(code, environment={"WORD": "tide"}, descriptors=(descriptor,))))
    finally:
        os.close(descriptor)
    assert (tmp_path / "file").read_text() == "tide"


def test_stop_kills_what_does_not_listen_and_its_children(tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(15, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(f'{{child.pid}} ');time.sleep(60)"
    )

    async def scene() -> bool:
        process = await Process.start(python(code))
        while not (tmp_path / "pid").exists() or " " not in (tmp_path / "pid").read_text():
            await asyncio.sleep(0.02)
        return await process.stop(0.1)

    assert asyncio.run(scene()) is False
    grandchild = int((tmp_path / "pid").read_text())
    wait_until(lambda: gone(grandchild), 3)


def test_stop_is_quick_with_a_child_that_listens() -> None:
    async def scene() -> float:
        process = await Process.start(python("import time; print('up', flush=True); time.sleep(60)"))
        while not process.last_line:
            await asyncio.sleep(0.02)
        started = time.monotonic()
        assert await process.stop(5)
        return time.monotonic() - started

    assert asyncio.run(scene()) < 1


def test_signals_to_an_ended_child_go_nowhere() -> None:
    async def scene() -> None:
        process = await Process.start(python("pass", death_signal=signal.SIGTERM))
        await process.wait()
        process.terminate()
        process.kill()
        assert not process.running

    asyncio.run(scene())
