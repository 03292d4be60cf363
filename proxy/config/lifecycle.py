"""The policies that an Api's state of life comes to; their labels are ones that nobody can give."""

from __future__ import annotations

import calendar
import datetime
from email.utils import format_datetime

from proxy.config import document, snapshot

LAST_SECOND = datetime.time(23, 59, 59, tzinfo=datetime.UTC)


def announcement(api: document.Api) -> snapshot.Policy | None:
    """What tells clients of a deprecated Api since when it is, until when it answers, and where to read more.

    `Deprecation` is RFC 9745, from the first second (UTC) of the day; `Sunset` RFC 8594, the last second of
    the day; `Link` with `rel="deprecation"` RFC 9745 section 3. None if there is nothing to tell. A service
    that sends dates of its own knows better; its links stay beside this one.
    """
    dates: dict[str, str] = {}
    if api.deprecated_at is not None:
        dates["deprecation"] = f"@{calendar.timegm(api.deprecated_at.timetuple())}"
    if api.sunset_at is not None:
        last = datetime.datetime.combine(api.sunset_at, LAST_SECOND)
        dates["sunset"] = format_datetime(last, usegmt=True)
    config: dict[str, object] = {"add_headers": dates} if dates else {}
    if api.documentation_url:
        config["append_headers"] = {"link": [f'<{api.documentation_url}>; rel="deprecation"']}
    if not config:
        return None
    label = f"lifecycle:{api.slug}"
    return snapshot.Policy("transform-response", label, "api", api.slug, config=config)


def gone(api: document.Api) -> snapshot.Policy:
    """What answers for a retired Api."""
    message = f"The API {api.title or api.slug} {api.version} is retired."
    config: dict[str, object] = {"status": 410, "message": message}
    return snapshot.Policy("request-termination", f"retired:{api.slug}", "api", api.slug, config=config)


def policies_of_life(api: document.Api) -> tuple[snapshot.Policy, ...]:
    """The policies that the Api has because it is deprecated or retired; without a Route it needs none."""
    if not any(route.enabled for route in api.routes):
        return ()
    if api.lifecycle == "retired":
        return (gone(api),)
    told = announcement(api) if api.lifecycle == "deprecated" else None
    return () if told is None else (told,)
