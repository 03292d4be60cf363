"""What the tests of the identity store share."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from proxy.identity.model import AppEntry, CredentialEntry
from proxy.identity.store import IdentityStore
from proxy.identity.writer import Changes
from proxy.node import SharedState

PEPPER = bytes(32)
SHOP = AppEntry("1", "shop", groups=("gold",), plans={"products": "basic"})


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextlib.contextmanager
def opened(root: Path, **options: object) -> Iterator[IdentityStore]:
    """The writable store of the node directory `root`."""
    state = SharedState(root / "state")
    store = IdentityStore(root / "identity", pepper=PEPPER, state=state, writable=True, **options)
    try:
        yield store
    finally:
        store.close()
        state.close()


def issue(
    store: IdentityStore, *keys: str, app: AppEntry = SHOP, version: int | None = None, **fields
) -> None:
    """Put keys of an App into the store."""
    rows = [(store.digest(key.encode()), CredentialEntry(f"c-{key}", app.id, **fields)) for key in keys]
    store.apply(Changes(apps=[app], credentials=rows), version)


class Reader:
    """Another process with the same store, read only."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.proxy.identity.reader", str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        """The next line it prints."""
        return self.process.stdout.readline().strip()

    def ask(self, command: str) -> str:
        """One command, one answer."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.line()

    def end(self) -> None:
        """Kill it, as `kill -9` would."""
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def reading(root: Path) -> Iterator[Reader]:
    """A Reader that is gone afterwards."""
    reader = Reader(root)
    try:
        yield reader
    finally:
        reader.end()
