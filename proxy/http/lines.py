"""Header lines, read strictly and remembered.

Clients and services send the same lines again and again, so what a line means is worked out once and kept
under its exact bytes. Reading a line is a pure function of it: a remembered answer is the same answer.
Measured against httptools with a Python callback per header in `benchmarks/probe_heads.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from proxy.exchange import Header

CAPACITY = 4096
LONGEST = 512

_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*+((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
"""RFC 9112 5: token, colon, value without CR, LF, NUL and other control bytes; no folding, no blank before
the colon.

The blanks in front of the value are taken for good (`*+`): else a line of nothing but blanks would take time
quadratic in its length to be refused.
"""


_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")


def valid_header(name: bytes, value: bytes) -> bool:
    """A name that is a token and a value without control bytes (RFC 9110 5.1, 5.5)."""
    return _TOKEN.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None


class Special:
    """A line that means something to the gateway itself; `kind` is the reader's own enumeration."""

    __slots__ = ("kind", "name", "value")

    def __init__(self, kind: int, name: bytes, value: bytes) -> None:
        self.kind = kind
        self.name = name
        self.value = value


class BadLine(Exception):
    """The line is not a header line."""


Entry = Header | Special
_UNIQUE = frozenset(
    (b"traceparent", b"tracestate", b"x-request-id", b"cookie", b"set-cookie", b"if-none-match", b"etag")
)
"""Lines that differ with every request are not worth remembering."""


class LineReader:
    """Each line comes to an Entry: a Header to keep, or a Special.

    `kinds` maps lower-case names to kinds above 0; `classify` is asked about names that are not in it and
    returns 0 for headers to keep. Memory is bounded: at CAPACITY entries all are forgotten.
    """

    def __init__(self, kinds: Mapping[bytes, int], classify: Callable[[bytes], int] = lambda name: 0) -> None:
        self.remembered: dict[bytes, Entry] = {}
        self._kinds = kinds
        self._classify = classify

    def read(self, lines: list[bytes]) -> list[Entry]:
        """The entries of all lines. Raises `BadLine`."""
        entries: list[Entry | None] = list(map(self.remembered.get, lines))
        while None in entries:
            index = entries.index(None)
            entries[index] = self.learn(lines[index])
        return entries  # type: ignore[return-value]

    def learn(self, line: bytes) -> Entry:
        """Read a line that is not remembered. Raises `BadLine`."""
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadLine
        entry = self.entry(match[1].lower(), match[2])
        if len(line) <= LONGEST and match[1].lower() not in _UNIQUE:
            if len(self.remembered) >= CAPACITY:
                self.remembered.clear()
            self.remembered[line] = entry
        return entry

    def entry(self, name: bytes, value: bytes) -> Entry:
        """The Entry of a header that another parser has read; `name` in lower case."""
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._classify(name)
        return (name, value) if kind == 0 else Special(kind, name, value)
