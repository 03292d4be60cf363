"""W3C Trace Context (https://www.w3.org/TR/trace-context/) and request ids, as bytes in and bytes out.

The ids are random and nothing secret hangs on them, so they come from the process's Mersenne Twister, which
Python seeds from the system (and again after a fork), without a system call per request.
"""

from __future__ import annotations

import re
from binascii import hexlify
from random import getrandbits

SAMPLED, RANDOM = 0x01, 0x02
"""Flags that have a meaning; all others are sent on as zero (section 3.2.2.5)."""

_HEX = b"0123456789abcdef"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_NO_TRACE, _NO_PARENT, _DASH = b"0" * 32, b"0" * 16, ord("-")


def parse(value: bytes) -> tuple[bytes, bytes, int] | None:
    """Trace id (32 hex digits), parent id (16) and flags; None if the value must be ignored.

    A version above 00 may carry more after the flags (section 4); version ff is invalid. With None the
    `tracestate` that came along must be dropped too.
    """
    # Without its hexadecimal digits the right shape is three dashes; several times faster than a pattern.
    if len(value) < 55 or value[:55].translate(None, _HEX) != b"---":
        return None
    if not value[2] == value[35] == value[52] == _DASH:
        return None
    version, trace_id, parent_id = value[:2], value[3:35], value[36:52]
    if version == b"ff" or trace_id == _NO_TRACE or parent_id == _NO_PARENT:
        return None
    if len(value) > 55 and (version == b"00" or value[55] != _DASH):
        return None
    return trace_id, parent_id, int(value[53:55], 16)


def child(value: bytes | None) -> bytes:
    """The traceparent to send upstream: the caller's trace with a span of ours, or a trace of our own.

    A trace that begins here is marked as sampled: the gateway does keep a record of the request, and
    unsampled would silence the upstream's own tracing.
    """
    parsed = parse(value) if value else None
    if parsed is None:
        return b"00-%b-%b-01" % (_random_id(16), _random_id(8))
    return b"00-%b-%b-0%d" % (parsed[0], _random_id(8), parsed[2] & (SAMPLED | RANDOM))


def _random_id(size: int) -> bytes:
    """That many random bytes in hexadecimal, not all of them zero."""
    return hexlify((getrandbits(size * 8) or 1).to_bytes(size, "big"))


def request_id() -> bytes:
    """A new request id: 24 hex digits, 96 random bits, so unique over processes, nodes and restarts."""
    return hexlify(getrandbits(96).to_bytes(12, "big"))


def accept_request_id(value: bytes) -> bytes | None:
    """The client's own request id if it is harmless in a log (1 to 128 of `A-Za-z0-9._:-`), else None."""
    return value if _REQUEST_ID.fullmatch(value) else None
