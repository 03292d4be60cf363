"""Keeps the node directory in step with the database, from one thread of its own.

The thread may hang in a database call for as long as that takes: supervision and workers go on, and
`staleness` says for how long nothing was heard.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from proxy.agent.source import Source, Unusable
from proxy.config.snapshot import Snapshot
from proxy.config.store import SnapshotStore
from proxy.node import IDENTITY, SNAPSHOT, NodeDir, SharedState

logger = logging.getLogger(__name__)

INTERVAL = 0.25
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
RETRY_INTERVAL = 10.0
"""Seconds until a Revision that this node cannot run is tried again."""


class Synchronizer:
    """Polls the Source every INTERVAL seconds; while it fails, with pauses that double, with jitter.

    Read from any thread: `revision` (newest known), `snapshot` (the one last written), `problem` (why the
    newest Revision is not running, or why the database is not heard; empty if all is well).
    """

    def __init__(self, node: NodeDir, state: SharedState, connect: Callable[[], Source]) -> None:
        self._store = SnapshotStore(node)
        self._state = state
        self._connect = connect
        self._source: Source | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="node-agent", daemon=True)
        self._heard = time.monotonic()
        self._lost_at = 0.0
        self._failures = 0
        self._running = (0, "")
        self._refused = (0, "")
        self._refused_at = 0.0
        self._refusal = ""
        self.tried = threading.Event()
        """Set once the database was heard or found to be gone."""
        self.connected = False
        self.problem = ""
        self.error: Exception | None = None
        self.snapshot: Snapshot | None = None

    @property
    def revision(self) -> int:
        """The newest revision that this node knows; 0 means none."""
        return self.snapshot.revision if self.snapshot is not None else 0

    @property
    def identities_loaded(self) -> bool:
        """Identities were brought to this node at least once, be it before this start."""
        return bool(self._state.numbers[IDENTITY])

    @property
    def staleness(self) -> float:
        """Seconds since the database last answered (or since the start, if it never did)."""
        return time.monotonic() - self._heard

    def load(self) -> None:
        """Take up what the node directory holds from before."""
        snapshot, rejected = self._store.load_latest()
        for revision, reason in rejected:
            logger.warning("The stored Snapshot of revision %d %s; passed over.", revision, reason)
        if snapshot is not None:
            self._announce(snapshot)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self, patience: float = 1.0) -> None:
        """End the polling; a thread that hangs in the database is left to die with the process."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def step(self) -> None:
        """One round; raises what the database raises."""
        if self._source is None:
            self._source = self._connect()
        newest = self._source.newest()
        if newest[0] and newest != self._running:
            self._try(newest, self._source)
        else:
            self._refused, self._refusal = (0, ""), ""
        self._source.sync_identities()
        self._heard = time.monotonic()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.step()
            except Exception as error:  # whatever a driver may raise: the node serves on
                self._lost(error)
            else:
                self._found()
            self.tried.set()
            self._stop.wait(self._pause())
        if self._source is not None:
            self._source.forget()

    def _try(self, newest: tuple[int, str], source: Source) -> None:
        """Take a Revision, or say once why not: identities go on being brought either way."""
        now = time.monotonic()
        if newest == self._refused and now - self._refused_at < RETRY_INTERVAL:
            return
        try:
            self._take(newest, source)
        except Unusable as error:
            if newest != self._refused:
                logger.error("Revision %d cannot run on this node: %s", newest[0], error)
            self._refused, self._refused_at = newest, now
            self._refusal = f"revision {newest[0]} cannot run here: {error}"
        else:
            self._refused, self._refusal = (0, ""), ""

    def _take(self, newest: tuple[int, str], source: Source) -> None:
        number = newest[0]
        snapshot = source.snapshot(number)
        if snapshot == self.snapshot:
            self._running = newest
            return
        self._store.write(snapshot)
        # Higher numbers are of another database, or of this one before it was restored.
        for foreign in [revision for revision in self._store.revisions() if revision > number]:
            self._store.path(foreign).unlink(missing_ok=True)
        self._announce(snapshot)
        self._running = newest
        logger.info("Revision %d is on this node.", number)

    def _announce(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._state.numbers[SNAPSHOT] = snapshot.revision

    def _pause(self) -> float:
        if not self._failures:
            return INTERVAL
        longest: float = min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - it needs no secrecy
        return longest * jitter

    def _lost(self, error: Exception) -> None:
        self.error = error
        self.problem = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".strip(
            ": "
        )
        if not self._failures:
            self._lost_at = time.monotonic()
            logger.error(
                "The database cannot be used (%s); the node serves what it has and tries again.", self.problem
            )
        self._failures = min(self._failures + 1, 16)
        self.connected = False
        if self._source is not None:
            self._source.forget()

    def _found(self) -> None:
        if self._failures:
            logger.info("The database is back after %.1f s.", time.monotonic() - self._lost_at)
        self._failures = 0
        self.problem, self.error = self._refusal, None
        self.connected = True
