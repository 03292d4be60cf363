"""Path literals as admins write them, brought into the form that request paths have when they are matched."""

from __future__ import annotations

from proxy.http.path import PathError, canonical


class RouteError(ValueError):
    """A Route that cannot be compiled: the field at fault (dotted) and the reason in words."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def canonical_literal(field: str, value: str) -> bytes:
    """The canonical path for a configured one; letters beyond ASCII are percent-encoded as UTF-8.

    Raises RouteError for what no request could ever have as its path.
    """
    if not value.startswith("/"):
        raise RouteError(field, "must start with '/'")
    if "?" in value or "#" in value:
        raise RouteError(field, "is a path and holds no '?' or '#'")
    raw = b"".join(b"%%%02X" % byte if byte >= 0x80 else b"%c" % byte for byte in value.encode("utf-8"))
    result = canonical(raw, allow_encoded=True)
    if isinstance(result, PathError):
        raise RouteError(field, result.reason)
    if result.path.count(b"/") != raw.count(b"/"):
        raise RouteError(
            field, f"holds empty or dot segments; requests never have them: {result.path.decode()}"
        )
    return result.path
