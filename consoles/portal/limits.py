"""How often somebody may ask for a code, try one, and issue keys."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest
from django_ratelimit.core import is_ratelimited

CODES = {"ip": "20/10m", "email": "5/10m"}
TRIES = {"ip": "40/10m", "email": "10/10m"}
KEYS = {"developer": "30/h"}


def too_often(request: HttpRequest, group: str, rates: Mapping[str, str], values: Mapping[str, str]) -> bool:
    """Count this attempt under every key; whether one of them has had too many.

    `values` holds what a key is of this request; `ip` is the client's address.
    """
    found = [
        is_ratelimited(
            request,
            group=f"portal-{group}-{name}",
            key="ip" if name == "ip" else lambda *_, name=name: values[name],
            rate=rate,
            increment=True,
        )
        for name, rate in rates.items()
    ]
    return any(found)
