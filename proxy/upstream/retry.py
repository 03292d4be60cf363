"""Which failures may be tried again, and how often, so that retries never become a storm of their own."""

from __future__ import annotations

from proxy.exchange import Exchange
from proxy.upstream.transport import Cause, Failure

IDEMPOTENT = frozenset(b"GET HEAD OPTIONS PUT DELETE PROPFIND SEARCH REPORT QUERY".split())
RESERVE = 10.0
_FINAL = frozenset((Cause.TIMEOUT, Cause.PROTOCOL, Cause.FULL, Cause.NO_INSTANCE, Cause.UNSAFE))


class RetryBudget:
    """Each request earns `share` of a retry, up to a small reserve; each retry of one that was sent spends one."""

    __slots__ = ("_seen", "share", "tokens")

    def __init__(self, share: float) -> None:
        self.share = share
        self.tokens = RESERVE if share else 0.0
        self._seen = 0

    def spend(self, requests: int) -> bool:
        """True if a retry is affordable; it is paid for then. `requests` counts first tries since ever."""
        self.tokens = min(RESERVE, self.tokens + self.share * (requests - self._seen))
        self._seen = requests
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


def may_repeat(x: Exchange, failure: Failure) -> bool:
    """Safe to send again: nothing went out, or it is idempotent and its body is not already given away.

    A request with a body is only repeated while no byte of it has left (RFC 9110 9.2.2).
    """
    if failure.cause in _FINAL or x.answered or x.finished:
        return False
    if not failure.sent:
        return not x.body_forwarded
    return (x.upstream_method or x.method) in IDEMPOTENT and x.content_length == 0
