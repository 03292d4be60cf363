"""The lines at the start."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

from proxy.agent.greeting import answers, places, readiness
from proxy.supervisor.options import Options


def lines(**changes: object) -> list[str]:
    given = {
        **{"host": "0.0.0.0", "gateway_port": 8000, "console_port": 8001, "status_port": 8002, "workers": 1},
        **changes,
    }
    options = Options(base=Path("/b"), data=Path("/d"), **given)  # type: ignore[arg-type]
    return list(places(options, options.gateway_port, options.status_port))


def test_one_line_for_each_thing() -> None:
    assert lines() == [
        "gateway   http://127.0.0.1:8000  (1 worker)",
        "console   http://127.0.0.1:8001",
        "status    http://127.0.0.1:8002/healthz  /livez  /readyz  /metrics",
        "data      /d",
    ]


def test_what_is_off_has_no_line() -> None:
    assert not any("console" in line for line in lines(console_port=0))


def test_tls_ports_are_named() -> None:
    shown = lines(tls_port=8443, h2_port=8444, host="10.0.0.1")
    assert "          https://10.0.0.1:8443" in shown
    assert "          https://10.0.0.1:8444  (HTTP/2)" in shown


def test_readiness_says_how_long_it_took() -> None:
    assert readiness(True, True, time.monotonic() - 1.2).startswith("ready in 1.2 s")
    assert "workers are not ready yet" in readiness(False, True, 0.0)
    assert "console does not answer yet" in readiness(True, False, 0.0)


def test_who_listens_late_is_waited_for_but_not_for_ever() -> None:
    async def late() -> tuple[bool, bool]:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            never = await answers("127.0.0.1", port, 0.3)
            waiting = asyncio.create_task(answers("127.0.0.1", port, 10.0))
            await asyncio.sleep(0.05)
            taken.listen()
            return never, await waiting

    assert asyncio.run(late()) == (False, True)
