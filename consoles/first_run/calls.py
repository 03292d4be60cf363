"""The last calls to an Api, as soon as the gateway has answered them.

They are read from this node's spool, where a worker writes them before the answer leaves, and from the
traffic log, which has those of other nodes a second or two later.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from analytics.models import RawRecord
from consoles.portal.reasons import reason
from consoles.ui.charts import duration
from consoles.ui.node import folder
from proxy.models import Api
from proxy.telemetry.record import TrafficRecord
from proxy.telemetry.spool import Segment, SegmentCorrupt, read, segments

DAYS = 7
RECENT_SECONDS = 600
"""A failed call is a hint for so long."""
MOST = 200
MAX_ROUTES = 100
LIMITED = "rate-limit-exceeded"


class Call(NamedTuple):
    """One call; `app` is empty if nobody was identified."""

    time: float
    request_id: str
    method: str
    path: str
    status: int
    state: int
    code: str
    rule: str
    app: str
    target: str
    duration_us: int

    @property
    def good(self) -> bool:
        """It was answered, and not with an error."""
        return 200 <= self.status < 400

    @property
    def recent(self) -> bool:
        """It came a moment ago."""
        return self.time > time.time() - RECENT_SECONDS

    @property
    def took(self) -> str:
        """The whole time, for people."""
        return duration(self.duration_us)

    @property
    def why(self) -> str:
        """Why it failed, and what to do about it."""
        words = reason(self.code, self.status, self.state, self.rule).words
        advice = _ADVICE.get(self.code) or ("" if self.code else _BACKEND.get(self.status, ""))
        return f"{words}. {advice}".strip()


_ADVICE = {
    "no-route": "No Route takes this path: compare it with the base path of the Api, and see whether everything "
    "is published.",
    "method-not-allowed": "The Route takes other methods only.",
    "key-missing": "The Api asks for a key already: send one, as the next step shows.",
    "acl-denied": "The App needs an approved Subscription to this Api.",
    "upstream-unreachable": "Nothing listens at the backend's address: is it started, and are host and port right?",
    "upstream-connect-timeout": "The backend's address does not answer: is the host right, is there a firewall?",
    "upstream-timeout": "The backend took the request and was silent: look into its log.",
    "upstream-protocol-error": "Does the backend speak HTTP/1.1 at this port, or is it TLS?",
    "no-healthy-upstream": "The health checks of the Upstream find all Targets bad.",
}
_BACKEND = {404: "The gateway did its part: the backend itself knows no such path. Try another one."}


def recent(api: Api) -> list[Call]:
    """Newest first: calls to the Api, and those that meant it and found no Route."""
    routes = list(api.routes.values_list("name", flat=True)[:MAX_ROUTES])
    found = {call.request_id: call for call in [*_logged(routes), *_spooled(api)]}
    return sorted(found.values(), key=lambda call: -call.time)[:MOST]


def _logged(routes: list[str]) -> list[Call]:
    since = time.time() - DAYS * 86_400
    rows = RawRecord.objects.filter(route__in=routes, time__gte=since).order_by("-time")
    return [_call(row) for row in rows[:MOST]]


def _spooled(api: Api) -> list[Call]:
    """From the segment that each worker writes now: what came before is in the log."""
    try:
        newest: dict[tuple[str, int], Segment] = {}
        for segment in segments(folder() / "spool"):
            newest[segment.node, segment.slot] = segment
    except OSError:
        return []
    found: list[Call] = []
    for segment in newest.values():
        try:
            found += [_call(record) for _, record in read(segment.path) if _meant(record, api)]
        except (SegmentCorrupt, OSError):
            continue  # whoever ingests it reports it
    return found


def _meant(record: TrafficRecord, api: Api) -> bool:
    if record.api:
        return record.api == api.slug
    base = api.base_path.rstrip("/")
    return record.path == base or record.path.startswith(f"{base}/")


def _call(row: Any) -> Call:
    return Call(*(getattr(row, name) for name in Call._fields))
