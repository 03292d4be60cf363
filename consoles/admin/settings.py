"""Settings of the gateway as a whole: limits, trusted proxies. There is one row of them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse

from consoles.ui.cells import Badge
from consoles.ui.detail import DetailPage
from consoles.ui.family import Family
from consoles.ui.fields import WordsField
from consoles.ui.forms import Group
from consoles.ui.nested import NestedForm
from consoles.ui.panels import Facts
from proxy.config.limits import BOUNDS
from proxy.config.snapshot import Limits
from proxy.models import Gateway

LABELS = {
    "header_bytes": ("Headers together", "bytes"),
    "header_line_bytes": ("One header line", "bytes"),
    "header_count": ("Number of headers", ""),
    "body_bytes": ("Request body", "bytes"),
    "buffer_bytes": ("Body held in memory", "bytes"),
    "header_timeout": ("Time for the headers", "s"),
    "body_timeout": ("Time for the body to go on", "s"),
    "body_min_rate": ("Slowest body", "bytes/s"),
    "keepalive_timeout": ("Unused connection is kept", "s"),
    "idle_timeout": ("Transfer may stand still", "s"),
    "tls_handshake_timeout": ("TLS handshake", "s"),
    "websocket_message_bytes": ("WebSocket message", "bytes"),
    "websocket_ping_interval": ("WebSocket ping every", "s"),
    "websocket_ping_timeout": ("WebSocket pong within", "s"),
    "drain_timeout": ("Drain on stop", "s"),
}


class GatewayForm(NestedForm):
    """Everything that is not an object of its own."""

    nested: ClassVar = {"limits": Limits}
    trusted_proxies = WordsField(
        label="Trusted proxies",
        help_text="Networks whose X-Forwarded-For or Forwarded header is believed, one a line.",
        placeholder="10.0.0.0/8",
    )

    class Meta:
        model = Gateway
        fields = ("trusted_proxies", "forwarded_header")
        help_texts: ClassVar = {"forwarded_header": "Which header is believed, and sent to Upstreams."}

    groups = (
        Group("Proxies in front of the gateway", ("trusted_proxies", "forwarded_header")),
        Group(
            "Limits",
            tuple(f"limits_{name}" for name in LABELS),
            help="What a client may send, and for how long.",
        ),
    )

    def extra_fields(self) -> dict[str, Any]:
        """With bounds in words."""
        found = super().extra_fields()
        for name, (label, unit) in LABELS.items():
            low, high = BOUNDS[name]
            field = found[f"limits_{name}"]
            field.label = f"{label} ({unit})" if unit else label
            field.help_text = f"From {low:,g} to {high:,.0f}. Usually {getattr(Limits(), name):,.12g}."
        return found


def _limits(row: Gateway) -> list[tuple[str, Any]]:
    found = []
    for name, (label, unit) in LABELS.items():
        value = row.limits.get(name, getattr(Limits(), name))
        text = f"{value:,.12g} {unit}".strip()
        found.append((label, Badge(f"{text}, changed", "blue") if name in row.limits else text))
    return found


class SettingsPage(DetailPage):
    """The one row."""

    def get(self, request: HttpRequest, pk: int = 1) -> HttpResponse:
        """The page."""
        Gateway.load()
        return super().get(request, 1)


class GatewaySettings(Family):
    """The settings."""

    model = Gateway
    path, noun, plural = "settings", "Settings", "Gateway settings"
    icon, section, place = "settings", "Settings", 10
    document_kind = "gateway"
    creatable = deletable = False
    form = GatewayForm
    pages: ClassVar = {"list": SettingsPage, "detail": None}
    panels = (
        Facts(
            "Proxies in front of the gateway",
            lambda row: (
                ("Trusted proxies", row.trusted_proxies or "none: callers are whoever connects"),
                ("Header", row.get_forwarded_header_display()),
            ),
        ),
        Facts("Limits", _limits),
    )

    def title(self, row: Gateway) -> str:
        """There is only this one."""
        return self.plural

    def name(self, row: Gateway) -> str:
        """In messages."""
        return "of the gateway"

    def url(self, page: str, row: Any = None) -> str:
        """The list is the page."""
        return super().url("list") if page == "detail" else super().url(page, row)
