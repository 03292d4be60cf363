"""Bounds of the gateway-wide limits: the least and the most that each may be set to."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from proxy.config.problem import Problem
from proxy.config.snapshot import Limits

BOUNDS: dict[str, tuple[float, float]] = {
    "header_bytes": (1024, 1024 * 1024),
    "header_line_bytes": (256, 1024 * 1024),
    "header_count": (10, 10_000),
    "body_bytes": (0, 2**40),
    "buffer_bytes": (1024, 256 * 1024 * 1024),
    "header_timeout": (0.1, 3600),
    "body_timeout": (0.1, 86_400),
    "body_min_rate": (0, 2**30),
    "keepalive_timeout": (0.1, 86_400),
    "idle_timeout": (0.1, 86_400),
    "tls_handshake_timeout": (0.1, 600),
    "websocket_message_bytes": (128, 2**30),
    "websocket_ping_interval": (0, 3600),
    "websocket_ping_timeout": (0.1, 3600),
    "drain_timeout": (0, 3600),
}


def check_limits(limits: dict[str, int | float]) -> Iterator[Problem]:
    """Names that are not limits, values of the wrong kind or out of bounds."""
    whole = {field.name for field in msgspec.structs.fields(Limits) if field.type is int}
    for name, value in limits.items():
        field = f"limits.{name}"
        if name not in BOUNDS:
            yield Problem("gateway", field, f"is not known; there are {', '.join(BOUNDS)}")
            continue
        low, high = BOUNDS[name]
        if name in whole and not isinstance(value, int):
            yield Problem("gateway", field, "must be a whole number")
        elif not low <= value <= high:
            yield Problem("gateway", field, f"must be from {low:g} to {high:g}")
    merged = {**msgspec.to_builtins(Limits()), **limits}
    if merged.get("header_line_bytes", 0) > merged.get("header_bytes", 0):
        yield Problem("gateway", "limits.header_line_bytes", "must not be more than header_bytes")
