"""The identity store with a million keys: loading, look-ups, and what a reader process costs in memory.

    python -m benchmarks.probe_identity [KEYS]

A reader is a process of its own, as a gateway worker is, and looks up every key once. Private memory is
what the kernel says (`/proc/self/smaps_rollup`). Pages of the file that no other process has mapped are
counted as private and clean there; they are page cache, given back at will, and shared with the next worker.
"""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from proxy.identity import keys
from proxy.identity.model import AppEntry, CredentialEntry
from proxy.identity.store import IdentityStore
from proxy.identity.writer import Changes
from proxy.node import SharedState

PEPPER = bytes(32)
APPS = 10_000
SAMPLE = 20_000


def key(number: int) -> bytes:
    """A key of our form that can be made again in another process."""
    start = ("tg_" + sha256(b"%d" % number).hexdigest()[: keys.RANDOM_LENGTH] + "_").encode()
    return start + keys._checksum(start)


def apps() -> Iterator[AppEntry]:
    """The Apps, a hundred keys each."""
    for number in range(APPS):
        yield AppEntry(str(number), f"app-{number}", groups=("gold",), plans={"products": "basic"})


def private() -> dict[str, int]:
    """Private clean and dirty memory of this process, in kB."""
    rows = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return {row[0][8:-1].lower(): int(row[1]) for row in rows if row[0].startswith("Private_")}


def reader(root: Path, count: int) -> None:
    """Look everything up once, then some keys again; print what it cost."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as in a worker
    store = IdentityStore(root / "identity", pepper=PEPPER, state=SharedState(root / "state"))
    some = [key(number) for number in random.Random(1).sample(range(count), min(SAMPLE, count))]
    before = private()
    for number in range(count):
        if store.lookup(key(number)) is None:
            raise SystemExit(f"key {number} is not there")
    after = private()
    for kind in ("dirty", "clean"):
        grown = (after[kind] - before[kind]) / 1024
        print(f"reader, private {kind} memory grown   {grown:8.1f} MB")
    few = some[:4000]
    store._known.clear()
    store._readable()._remembered.clear()
    print(f"look-up, neither key nor App known   {_each(store, few):8.2f} us")
    store._known.clear()
    print(f"look-up, App known                   {_each(store, few):8.2f} us")
    print(f"look-up, key known                   {_each(store, few):8.2f} us")
    unknown = [b"made-up-key-%d" % number for number in range(SAMPLE)]
    print(f"look-up, unknown key                 {_each(store, unknown):8.2f} us")
    typos = [raw[:-1] + b"-" for raw in some]
    print(f"look-up, mistyped key                {_each(store, typos):8.2f} us")


def _each(store: IdentityStore, raws: list[bytes]) -> float:
    """Microseconds for one look-up, the best of ten parts: others may be using the machine."""
    lookup, times = store.lookup, []
    size = len(raws) // 10
    for start in range(0, 10 * size, size):
        part = raws[start : start + size]
        started = time.perf_counter()
        for raw in part:
            lookup(raw)
        times.append((time.perf_counter() - started) / size * 1e6)
    return min(times)


def main(count: int) -> None:
    """Load the store, then have a reader read it while this process has it open, as the node agent does."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        state = SharedState(root / "state")
        store = IdentityStore(root / "identity", pepper=PEPPER, state=state, writable=True)
        rows = sorted((store.digest(key(number)), number) for number in range(count))
        entries = ((digest, CredentialEntry(str(number), str(number % APPS))) for digest, number in rows)
        started = time.perf_counter()
        store.replace_all(apps(), entries, version=1, origin="probe")
        print(f"{count:,} keys loaded in               {time.perf_counter() - started:8.2f} s")
        size = (root / "identity" / "data.mdb").stat().st_size
        print(f"size of the file                     {size / 2**20:8.1f} MB")
        del rows
        subprocess.run([sys.executable, "-m", "benchmarks.probe_identity", str(count), folder], check=True)
        started = time.perf_counter()
        for number in range(100):
            store.apply(Changes(credentials=[(store.digest(b"new-%d" % number), CredentialEntry("n", "1"))]))
        print(f"one key more, committed              {(time.perf_counter() - started) * 10:8.2f} ms")
        store.close()
        state.close()


if __name__ == "__main__":
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    if len(sys.argv) > 2:
        reader(Path(sys.argv[2]), total)
    else:
        main(total)
