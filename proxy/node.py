"""The node directory: the files through which the processes of one node meet.

```
state                u64 cells in shared memory: newest snapshot revision, generations of identities and health
snapshots/N.snap     the last three Snapshots
identity/            the LMDB identity store
counters             node-shared counters
workers/N.status     one per worker slot: heartbeat, live revision, metrics
spool/               traffic records
health               JSON: Upstream name to Target label to healthy
pepper               the key of the key hashes
```
Workers poll `state`, a memory read; nobody needs a socket to tell them of a publish or a revoked key, and
a killed process leaves nothing locked.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

SNAPSHOT, IDENTITY, HEALTH = range(3)
_STATE_BYTES = 4096


class SharedState:
    """Numbers that all processes of the node see at once; the node agent alone writes them."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size < _STATE_BYTES:
                os.ftruncate(descriptor, _STATE_BYTES)
            self._map = mmap.mmap(descriptor, _STATE_BYTES)
        finally:
            os.close(descriptor)
        self.numbers = memoryview(self._map).cast("Q")
        """Index with SNAPSHOT, IDENTITY or HEALTH. An aligned 8-byte store is atomic on the platforms we run on."""

    def close(self) -> None:
        """Unmap."""
        self.numbers.release()
        self._map.close()


class NodeDir:
    """Paths below one node's data directory; creating it makes what is missing, private to the user."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.snapshots = self.root / "snapshots"
        self.identity = self.root / "identity"
        self.workers = self.root / "workers"
        self.spool = self.root / "spool"
        for folder in (self.root, self.snapshots, self.identity, self.workers, self.spool):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.counters = self.root / "counters"
        self.state = self.root / "state"
        self.health = self.root / "health"
        self.pepper = self.root / "pepper"
