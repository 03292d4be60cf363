"""What goes to the script and comes back."""

from __future__ import annotations

import hashlib
import struct

from proxy.counters.base import Limit, Verdict
from proxy.counters.script import SCRIPT, SCRIPT_SHA, arguments, verdicts


def test_limits_as_the_script_reads_them() -> None:
    limits = [Limit("fixed-window", 5, 60.0), Limit("gcra", 4, 2.0, 3), Limit("sliding-window", 10**9, 1.0)]
    told = [struct.unpack("<5d", text) for text in arguments([(b"key", limit) for limit in limits])]
    assert [values[:4] for values in told] == [
        (1, 5, 60.0, 5),
        (3, 4, 2.0, 3),
        (2, 10**9, 1.0, 10**9),
    ]


def test_answer() -> None:
    reply = struct.pack("<8d", 1, 7, 59.5, 0, 0, 0, 3.25, 3.25)
    assert verdicts(reply) == [Verdict(True, 7, 59.5, 0.0), Verdict(False, 0, 3.25, 3.25)]
    assert verdicts(reply)[0].allowed is True


def test_name_is_the_hash_that_redis_computes() -> None:
    assert hashlib.sha1(SCRIPT.encode()).hexdigest() == SCRIPT_SHA
