"""Histograms whose buckets grow by a constant factor, so that any percentile is known to within 5 %.

The buckets are those of DDSketch (Masson, Rim, Lee: "DDSketch", VLDB 2019, section 2.1): bucket i holds the
values in (GROWTH^(i-1), GROWTH^i], and its middle is off by (GROWTH-1)/(GROWTH+1) at most. Histograms add
up: merging those of parts gives exactly that of the whole.
"""

from __future__ import annotations

from math import ceil, log

import msgspec

GROWTH = 1.1
RELATIVE_ERROR = (GROWTH - 1) / (GROWTH + 1)
"""0.0476"""
LARGEST = 2**40
"""In microseconds 12.7 days; what is larger counts as this."""

_SCALE = 1 / log(GROWTH)
_ZERO = 0
"""The bucket of 0; 1 is in bucket 1, since GROWTH^0 is."""


def _index(value: int) -> int:
    return ceil(log(value) * _SCALE - 1e-9) + 1 if value > 0 else _ZERO


BUCKETS = bytes(map(_index, range(1 << 16)))
"""The bucket of each smaller value, for whoever counts millions."""
_TOP = _index(LARGEST)
_decode = msgspec.msgpack.Decoder(dict[int, int]).decode
_encode = msgspec.msgpack.Encoder().encode
EMPTY = _encode({})
"""How a Histogram without values is stored."""


def bucket(value: int) -> int:
    """The number of the bucket that holds a value; negative ones count as 0."""
    if value < len(BUCKETS):
        return BUCKETS[value] if value > 0 else _ZERO
    return _index(value) if value < LARGEST else _TOP


def middle(number: int) -> float:
    """The value that stands for all in a bucket."""
    return 0.0 if number == _ZERO else 2 * GROWTH ** (number - 1) / (GROWTH + 1)


class Histogram(dict[int, int]):
    """Bucket number to how many values; buckets without any are not there."""

    __slots__ = ()

    def add(self, value: int, count: int = 1) -> None:
        """Count a value."""
        number = bucket(value)
        self[number] = self.get(number, 0) + count

    def merge(self, other: dict[int, int]) -> None:
        """Add all values of another histogram."""
        get = self.get
        for number, count in other.items():
            self[number] = get(number, 0) + count

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.values())

    def quantile(self, share: float) -> float | None:
        """The value that `share` (0 to 1) of all do not exceed, by nearest rank; None without values."""
        rank = max(1, ceil(share * self.count - 1e-9))
        for number in sorted(self):
            rank -= self[number]
            if rank <= 0:
                return middle(number)
        return None

    def encode(self) -> bytes:
        """For the database: a few bytes for each bucket."""
        return _encode(self)

    @classmethod
    def decode(cls, stored: bytes | memoryview) -> Histogram:
        """What `encode` gave. Raises msgspec.DecodeError for anything else."""
        return cls(_decode(stored))


def merged(stored: bytes | memoryview, new: Histogram) -> bytes:
    """What is stored with all values of another histogram added. Raises msgspec.DecodeError."""
    if not new:
        return bytes(stored)
    total = _decode(stored)
    get = total.get
    for number, count in new.items():
        total[number] = get(number, 0) + count
    return _encode(total)
