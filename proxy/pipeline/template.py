"""Values with `{names}` in them, filled in for each request; a name that is unknown is refused at publish."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from proxy.exchange import Exchange
from proxy.pipeline.policy import Invalid

Part = Callable[[Exchange], bytes]

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_PARAMETER = re.compile(r"params\.([A-Za-z_][A-Za-z0-9_]*)")
_UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

VARIABLES: dict[str, Part] = {
    "client_ip": lambda x: x.client_ip.encode(),
    "consumer": lambda x: x.identity.app.encode("utf-8", "replace") if x.identity is not None else b"",
    "request_id": lambda x: x.request_id,
    "route": lambda x: x.route.config.name.encode() if x.route is not None else b"",
    "api": lambda x: x.route.config.api.encode() if x.route is not None else b"",
    "host": lambda x: x.host,
    "path": lambda x: x.path,
}

_UNSTEADY = (VARIABLES["client_ip"], VARIABLES["request_id"])


class UnsafeValue(Exception):
    """A value that was filled in holds control bytes (threats: response and header splitting)."""


class Template:
    """A text in which `{client_ip}`, `{consumer}`, `{request_id}`, `{route}`, `{api}`, `{host}`, `{path}`
    and `{params.NAME}` (from the Route's path, decoded) stand for what the request has.

    `{{` and `}}` are literal braces. `constant` is the value if nothing is to be filled in; `steady` says that
    it is the same for each request with the same head and caller. Raises `Invalid` for an unknown name, a
    stray brace or a control character.
    """

    __slots__ = ("_parts", "constant", "steady")

    def __init__(self, text: str, field: str = "") -> None:
        literal = text.encode("utf-8", "replace")
        if _UNSAFE.search(literal):
            raise Invalid("Line breaks and other control characters are not allowed.", field)
        parts: list[bytes | Part] = []
        for piece in _PIECE.finditer(text):
            parts.append(_part(piece, field))
        self._parts = parts
        fixed = [part for part in parts if isinstance(part, bytes)]
        self.constant = b"".join(fixed) if len(fixed) == len(parts) else None
        self.steady = not any(part in _UNSTEADY for part in parts)

    def render(self, x: Exchange) -> bytes:
        """The value for this request. Raises `UnsafeValue` if it holds control bytes."""
        if self.constant is not None:
            return self.constant
        value = b"".join([part if isinstance(part, bytes) else part(x) for part in self._parts])
        if _UNSAFE.search(value):
            raise UnsafeValue
        return value

    def render_cleaned(self, x: Exchange) -> bytes:
        """The value for this request, control bytes taken out: for where it is too late to refuse."""
        if self.constant is not None:
            return self.constant
        return _UNSAFE.sub(
            b"", b"".join([part if isinstance(part, bytes) else part(x) for part in self._parts])
        )


def _part(piece: re.Match[str], field: str) -> bytes | Part:
    text, name = piece[0], piece[1]
    if text in ("{{", "}}"):
        return text[:1].encode()
    if name is None:
        if text in ("{", "}"):
            raise Invalid("A brace is not closed or not opened; write {{ or }} for a literal one.", field)
        return text.encode("utf-8", "replace")
    parameter = _PARAMETER.fullmatch(name)
    if parameter:
        return _parameter(parameter[1])
    if name not in VARIABLES:
        known = ", ".join([*VARIABLES, "params.NAME"])
        raise Invalid(f"There is no {{{name}}}; there are {known}. Write {{{{ for a literal brace.", field)
    return VARIABLES[name]


def _parameter(name: str) -> Part:
    def parameter(x: Exchange) -> bytes:
        return unquote_to_bytes(x.params.get(name, "")) if x.params else b""

    return parameter
