"""A process that reads an identity store as a worker does: one command a line, one answer a line."""

import os
import signal
import sys
from pathlib import Path

from proxy.identity.database import IdentityDatabase
from proxy.identity.store import IdentityStore
from proxy.node import SharedState


def main() -> None:
    """`find KEY`, `why KEY`, `clears`, `follow`, `hold` (die in the middle of a look-up)."""
    root = Path(sys.argv[1])
    store = IdentityStore(root / "identity", pepper=bytes(32), state=SharedState(root / "state"))
    print("ready", flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        print(answer(store, command, argument), flush=True)


def answer(store: IdentityStore, command: str, argument: str) -> str:
    """What is printed for one command."""
    if command == "find":
        identity = store.lookup(argument.encode())
        return identity.app if identity is not None else "-"
    if command == "why":
        return store.why(argument.encode())
    if command == "clears":
        return str(store.clears)
    if command == "follow":
        store.follow()
        return "followed"
    assert command == "hold"
    store.close()
    database = IdentityDatabase(store._path)
    kept = database.begin()
    print("holding", kept.id(), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return "-"


if __name__ == "__main__":
    main()
