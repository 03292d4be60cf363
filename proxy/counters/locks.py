"""Locks between processes that the kernel gives back when their holder is killed.

Robust mutexes in shared memory (pthread_mutexattr_setrobust, POSIX.1-2008): who finds one free takes it without
a system call, and of one whose holder died the next taker is told. Where the C library has none, byte-range
locks on the file do the same at five times the cost. `docs/adr/0006-robust-mutexes.md` has the measurements.

A lock is a number; `take` returns 0 for yes, else an errno: EBUSY, or EOWNERDEAD, with which it is ours all the
same once `heal` has been called. Neither waits.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
from collections.abc import Callable
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from typing import Any, Protocol

BUSY, OWNER_DEAD = errno.EBUSY, getattr(errno, "EOWNERDEAD", -1)
MUTEX_BYTES = 64
"""Room for a mutex, one per cache line; the largest of the C libraries' is 48."""
_ATTRIBUTE_BYTES = 64
_ROBUST = _SHARED = 1


class Locks(Protocol):
    """What a table needs of its locks."""

    take: Callable[[int], int]
    give: Callable[[int], object]

    def lock(self, index: int) -> int:
        """The lock of a bucket, to be kept and given to `take` and `give`."""

    def heal(self, lock: int) -> None:
        """Make a lock whose holder died good again; it is ours."""

    def make(self, count: int) -> None:
        """Set up that many locks in a new table."""

    def close(self) -> None:
        """Let go of the memory."""


class Mutexes:
    """Robust mutexes from `offset` of the mapped file on."""

    def __init__(self, library: ctypes.PyDLL, mapped: mmap.mmap, offset: int) -> None:
        self._library = library
        self._memory: Any = ctypes.c_char.from_buffer(mapped)
        self._start = ctypes.addressof(self._memory) + offset
        self.take: Callable[[int], int] = _function(library, "pthread_mutex_trylock")
        self.give: Callable[[int], object] = _function(library, "pthread_mutex_unlock")
        self._heal = _function(library, "pthread_mutex_consistent")

    def lock(self, index: int) -> int:
        """Its address in this process."""
        return self._start + index * MUTEX_BYTES

    def heal(self, lock: int) -> None:
        """Say that what the lock guards is in order."""
        self._heal(lock)

    def make(self, count: int) -> None:
        """Raises OSError if the system cannot."""
        attributes = ctypes.create_string_buffer(_ATTRIBUTE_BYTES)
        library = self._library
        failed = (
            library.pthread_mutexattr_init(attributes)
            or library.pthread_mutexattr_setpshared(attributes, _SHARED)
            or library.pthread_mutexattr_setrobust(attributes, _ROBUST)
        )
        begin = library.pthread_mutex_init
        begin.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        for index in range(count):
            failed = failed or begin(self.lock(index), attributes)
        if failed:
            raise OSError(failed, "locks in shared memory cannot be made")

    def close(self) -> None:
        """The file can be unmapped afterwards."""
        self._memory = None


class FileLocks:
    """Byte-range locks on the file itself."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self.take: Callable[[int], int] = self._take
        self.give: Callable[[int], object] = self._give

    def lock(self, index: int) -> int:
        """The byte that stands for it."""
        return self._offset + index * MUTEX_BYTES

    def _take(self, lock: int) -> int:
        try:
            lockf(self._descriptor, LOCK_EX | LOCK_NB, 1, lock)
        except OSError:
            return BUSY
        return 0

    def _give(self, lock: int) -> None:
        lockf(self._descriptor, LOCK_UN, 1, lock)

    def heal(self, lock: int) -> None:
        """The kernel has done it."""

    def make(self, count: int) -> None:
        """They are always there."""

    def close(self) -> None:
        """Nothing is held."""


def open_locks(mapped: mmap.mmap, descriptor: int, offset: int) -> Locks:
    """The locks of the table in a file that is mapped and open; room for them begins at `offset`."""
    library = ctypes.PyDLL(None)  # keeps the interpreter's lock: its functions return at once
    if hasattr(library, "pthread_mutexattr_setrobust"):
        return Mutexes(library, mapped, offset)
    return FileLocks(descriptor, offset)


def _function(library: ctypes.PyDLL, name: str) -> Callable[[int], int]:
    function: Any = library[name]  # not the attribute: that one is shared, and so would be its argument types
    function.argtypes = (ctypes.c_void_p,)
    return function  # type: ignore[no-any-return]
