"""A request of the log as a curl command: method, address and path; of a key only where it goes."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Q

from analytics.models import RawRecord
from proxy.models import Policy


def curl_of(row: RawRecord) -> str:
    """A line for a shell, in which nothing of the request is more than text. Query and body are not recorded."""
    words = ["curl", "-i"]
    if row.method == "HEAD":
        words.append("--head")
    elif row.method != "GET":
        words += ["-X", shlex.quote(row.method)]
    for header in _headers(row):
        words += ["-H", header]
    base = settings.TIDEGATE_PUBLIC_URL.rstrip("/")
    path = row.path if row.path.startswith("/") else f"/{row.path}"
    return " ".join([*words, "--path-as-is", shlex.quote(f"{base}{path}")])


def _headers(row: RawRecord) -> list[str]:
    found = []
    known = urlsplit(settings.TIDEGATE_PUBLIC_URL)
    if row.host and row.host not in (known.netloc, known.hostname):
        found.append(shlex.quote(f"Host: {row.host}"))
    name = _key_header(row)
    if name:
        found.append(f'{shlex.quote(f"{name}: ")}"$KEY"')
    return found


def _key_header(row: RawRecord) -> str:
    """Where the gateway looks for a key on this Route, empty if it asks for none."""
    places = Q(scope="global") | Q(route__name=row.route) if row.route else Q(scope="global")
    if row.api:
        places |= Q(api__slug=row.api)
    policy = Policy.objects.filter(places, name="key-auth").exclude(mode="off").first()
    if policy is None:
        return ""
    names = policy.config.get("names") or ["x-api-key"]
    return str(names[0])
