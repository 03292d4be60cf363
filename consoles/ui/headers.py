"""Middleware: the Content-Security-Policy of all pages, and the one inline script that it allows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

THEME_SCRIPT = (
    "(function(){var r=document.documentElement;if(r.dataset.theme==='system')"
    "r.dataset.bsTheme=matchMedia('(prefers-color-scheme: dark)').matches?'dark':'light'})()"
)
"""Sets the theme before anything is painted. Only its hash is allowed, so it must stand in pages as it is."""
_HASH = base64.b64encode(hashlib.sha256(THEME_SCRIPT.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self' 'sha256-{_HASH}'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


def security_headers(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Adds both to every answer that does not bring its own."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        return response

    return middleware


def theme_script(request: HttpRequest) -> dict[str, str]:
    """Context processor: the script for the head of pages."""
    return {"theme_script": THEME_SCRIPT}
