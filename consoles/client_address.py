"""Middleware: the address of who calls, when proxies are in front, for limits and the audit."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from proxy.http.addresses import Networks, canonical_ip
from proxy.http.forwarded import believed_hops, forwarded_hops

_HEADERS = {"X-FORWARDED": "X-Forwarded-For", "FORWARDED": "Forwarded"}


def client_address(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Puts into `REMOTE_ADDR` what the trusted proxies say; nobody else is believed, and by default nobody."""
    trusted = Networks(settings.TIDEGATE_TRUSTED_PROXIES)
    family = settings.TIDEGATE_FORWARDED_HEADER

    def middleware(request: HttpRequest) -> HttpResponse:
        peer = canonical_ip(request.META.get("REMOTE_ADDR") or "") or ""
        said = request.headers.get(_HEADERS[family], "")
        if len(trusted) and said and peer in trusted:
            line = (_HEADERS[family].lower().encode(), said.encode("latin-1", "replace"))
            hops = forwarded_hops([line], use_forwarded=family == "FORWARDED")
            believed = believed_hops(hops, trusted)
            if believed:
                request.META["REMOTE_ADDR"] = believed[-1]
        return get_response(request)

    return middleware
