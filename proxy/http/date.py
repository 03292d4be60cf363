"""The Date of an answer (RFC 9110 6.6.1)."""

from __future__ import annotations

import functools
import time
from email.utils import formatdate


def http_date() -> bytes:
    """Now, as headers say it."""
    return _text(int(time.time()))


@functools.lru_cache(maxsize=1)
def _text(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
