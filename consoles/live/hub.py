"""One producer for all who watch: it runs in a thread, only while somebody watches, and waits for nobody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

_log = logging.getLogger("tidegate.live")


class Watcher(Protocol):
    """Somebody who watches. `greeted` says that a source has sent its first frame."""

    greeted: bool

    def offer(self, text: str, weight: int) -> None:
        """Take a frame or lose it; `weight` is what is lost with it. Never waits."""


W = TypeVar("W", bound=Watcher)
Frames = Iterable[tuple[W, str, int]]
"""For whom, what, and how much is lost if it is lost."""


class Source(Protocol[W]):
    """Where frames come from; lives as long as somebody watches. Its methods run in a thread."""

    def tick(self, watchers: Sequence[W]) -> Frames[W]:
        """What these shall see now."""

    def close(self) -> None:
        """Let files go."""


class Hub(Generic[W]):
    """Runs a source for its watchers, `interval` seconds from tick to tick."""

    def __init__(self, make: Callable[[], Source[W]], interval: float) -> None:
        self._make = make
        self._interval = interval
        self._watchers: set[W] = set()
        self._task: asyncio.Task[Any] | None = None

    @property
    def running(self) -> bool:
        """Whether the producer runs."""
        return self._task is not None

    def join(self, watcher: W) -> None:
        """From now on this one watches too."""
        self._watchers.add(watcher)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def leave(self, watcher: W) -> None:
        """No more; the producer ends by itself when it is the last."""
        self._watchers.discard(watcher)

    async def _run(self) -> None:
        source: Source[W] | None = None
        failing = False
        try:
            while self._watchers:
                started, watchers = time.monotonic(), tuple(self._watchers)
                try:
                    source = source or await asyncio.to_thread(self._make)
                    for watcher, text, weight in await asyncio.to_thread(_frames, source, watchers):
                        watcher.offer(text, weight)
                    failing = False
                except Exception:
                    if not failing:  # once, not every second
                        _log.exception("a live view cannot be produced")
                    failing = True
                rest = self._interval - (time.monotonic() - started)
                await asyncio.sleep(max(rest, self._interval / 4))
        finally:
            self._task = None
            if source is not None:
                await asyncio.to_thread(source.close)


def _frames(source: Source[W], watchers: Sequence[W]) -> list[tuple[W, str, int]]:
    return list(source.tick(watchers))
