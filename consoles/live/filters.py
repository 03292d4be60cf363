"""What a live tail is narrowed to; the page and its socket read it from the same query string."""

from __future__ import annotations

from typing import get_args
from urllib.parse import parse_qsl

import msgspec

from analytics.questions import StatusClass, class_of
from analytics.traffic_log import Method
from proxy.telemetry.record import TrafficRecord

CLASSES = get_args(StatusClass)
METHODS = get_args(Method)
MAX_TEXT = 200


class TailFilters(msgspec.Struct, frozen=True):
    """Which requests; empty means all. `api` and `route` are parts of names, `text` a part of host and path,
    User-Agent or request id, in any case.
    """

    api: str = ""
    route: str = ""
    status_class: str = ""
    method: str = ""
    text: str = ""

    @classmethod
    def parse(cls, query: str) -> TailFilters:
        """Out of a query string; what is not known is left out."""
        try:
            given = dict(parse_qsl(query, max_num_fields=20))
        except ValueError:
            return cls()
        found = {name: given.get(name, "").strip()[:MAX_TEXT] for name in cls.__struct_fields__}
        allowed = {"status_class": CLASSES, "method": METHODS}
        return cls(**{name: value for name, value in found.items() if value in allowed.get(name, (value,))})

    def match(self, record: TrafficRecord) -> bool:
        """Whether the record is one of them."""
        return (
            (not self.method or record.method == self.method)
            and (not self.status_class or class_of(record.status) == self.status_class)
            and self.api.casefold() in record.api.casefold()
            and self.route.casefold() in record.route.casefold()
            and (not self.text or self._text_is_in(record))
        )

    def _text_is_in(self, record: TrafficRecord) -> bool:
        where = f"{record.host}{record.path}\n{record.user_agent}\n{record.request_id}"
        return self.text.casefold() in where.casefold()
