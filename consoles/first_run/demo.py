"""One run of demo traffic at a time: started, watched and stopped from the console.

It is a thread of the console's process. The worker for tasks runs one after the other, and a minute in which
it sends calls would be a minute in which nothing is ingested. How far it is stands in the cache; it ends by
itself, and with the console.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache

from consoles.first_run.steps import demo_backend
from consoles.ui.node import node_state
from proxy.agent.greeting import origin
from proxy.demo.services import SERVICES
from proxy.demo.traffic import GRACE, RATE, SECONDS, TIMEOUT, Progress, run
from proxy.management.commands.demo import KEY_FILE
from proxy.models import Api

LOCK, STATE, STOP = (f"tidegate:demo-traffic:{name}" for name in ("lock", "state", "stop"))
KEPT_SECONDS = 3600
STALE_SECONDS = 15.0
_log = logging.getLogger("tidegate.demo")


class Run(NamedTuple):
    """The last run as it was a moment ago. `state` is running, done, stopped, lost (the gateway does not
    answer) or broken."""

    state: str
    by: str
    sent: int
    planned: int
    statuses: dict[int, int]
    updated: float

    @property
    def running(self) -> bool:
        """It goes on."""
        return self.state == "running" and time.time() - self.updated < STALE_SECONDS

    @property
    def outcome(self) -> str:
        """How it ended; one that says nothing any more went with its process."""
        return "broken" if self.state == "running" and not self.running else self.state

    @property
    def share(self) -> int:
        """Percent of what was planned."""
        return min(100, round(100 * self.sent / self.planned)) if self.planned else 0

    @property
    def answers(self) -> list[tuple[str, int]]:
        """Status and number, in order."""
        return [
            (str(status) if status else "no answer", count) for status, count in sorted(self.statuses.items())
        ]


def last_run() -> Run | None:
    """The run that goes on, or the last one of this hour."""
    found = cache.get(STATE)
    return Run(*found) if found else None


def obstacle() -> str:
    """Why demo traffic cannot be sent now; empty if it can."""
    if not node_state().alive:
        return "No gateway runs on this machine."
    if Api.objects.filter(slug__in=SERVICES).count() < len(SERVICES):
        return "The demo shop is not part of this configuration. Demo traffic goes to its Apis only."
    if not demo_backend():
        return "The services of the demo shop do not run here. Start the gateway with TIDEGATE_DEMO=1."
    return ""


def gateway_url() -> str:
    """Where the gateway of this machine listens."""
    return origin(settings.TIDEGATE_HOST, settings.TIDEGATE_GATEWAY_PORT)


def demo_key() -> str:
    """The demo's key, empty if this machine does not have it: then the calls are refused."""
    try:
        return (Path(settings.TIDEGATE_DATA) / KEY_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def start(by: str, *, seconds: float = SECONDS, rate: float = RATE) -> bool:
    """Begin a run; False if there is one."""
    token = secrets.token_hex(8)
    if not cache.add(LOCK, token, seconds + GRACE + TIMEOUT + STALE_SECONDS):
        return False
    cache.delete(STOP)
    planned = max(1, round(seconds * rate))
    _tell("running", by, planned, Progress())
    thread = threading.Thread(
        target=_work, args=(by, planned, seconds, rate, token), name="demo-traffic", daemon=True
    )
    thread.start()
    return True


def stop() -> None:
    """Ask the run to end; it does within a moment."""
    cache.set(STOP, True, 120)


def _work(by: str, planned: int, seconds: float, rate: float, token: str) -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would write a line for each call
    progress, told = Progress(), 0.0

    def stopped() -> bool:
        nonlocal told
        now = time.monotonic()
        if now - told > 0.25:
            told = now
            _tell("running", by, planned, progress)
        return bool(cache.get(STOP))

    state = "broken"
    try:
        asyncio.run(
            run(gateway_url(), demo_key(), seconds=seconds, rate=rate, stopped=stopped, progress=progress)
        )
        state = "lost" if progress.lost else "stopped" if cache.get(STOP) else "done"
    except Exception:
        _log.exception("demo traffic ended early")
    finally:
        _tell(state, by, planned, progress)
        if cache.get(LOCK) == token:
            cache.delete(LOCK)


def _tell(state: str, by: str, planned: int, progress: Progress) -> None:
    found = Run(state, by, progress.sent, planned, dict(progress.statuses), time.time())
    cache.set(STATE, tuple(found), KEPT_SECONDS)
