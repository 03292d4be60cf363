"""One canonical path for every request.

What comes out of `canonical` is what is matched, authorised, cached, logged and forwarded, byte for byte,
so that no two parts of the gateway, and no upstream behind it, can see two different resources. The rules,
with what they protect from, are in `docs/routing.md`.
"""

from __future__ import annotations

import re

import msgspec

_SEGMENT_START = rb"A-Za-z0-9\-_~!$&'()*+,;=:@"
plain_path = re.compile(rb"(?:/[" + _SEGMENT_START + rb"][." + _SEGMENT_START + rb"]*+)++/?|/").fullmatch
"""An already canonical path without query, escapes, and segments that start with a dot; never empty."""
_PATH = re.compile(rb"/[!$-\[\]-~]*").fullmatch
"""Printable ASCII without space, `"`, `#`, backslash (RFC 3986 3.3; `#` never is a part of a path)."""
_QUERY = re.compile(rb"[!\"$-~]*").fullmatch
"""Printable ASCII without space and `#`."""
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%(?:[01][0-9A-Fa-f]|7[Ff])").search
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}|[<>\[\]^`{|}]")
_AMBIGUOUS = re.compile(rb"%(?:2F|5C|3B|25|3F|23)").search
_MANY_SLASHES = re.compile(rb"//+")
_ANY_SEPARATOR = re.compile(rb"/|%2F|%5C")
_PARAMETERS = re.compile(rb";|%3B")
_QUESTION_MARK = 0x3F
"""As a number: looking for a byte in bytes is eight times faster than looking for bytes in bytes."""
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]+)([/?].*)?", re.DOTALL).fullmatch


class Canonical(msgspec.Struct, frozen=True, gc=False):
    """A request target in canonical form.

    `query` is b"" both without and with an empty query; `target[len(path):]` tells them apart and is what
    goes behind another path when it is rewritten. `encoded` says that the path holds an escape that upstreams
    read differently (`%2F %5C %3B %25 %3F %23`): only a Route with `allow_encoded` may take it.
    """

    target: bytes
    path: bytes
    query: bytes
    encoded: bool


class PathError(msgspec.Struct, frozen=True, gc=False):
    """Why a request target is refused with 400."""

    reason: str


def canonical(target: bytes, *, allow_encoded: bool = False) -> Canonical | PathError:
    """The canonical form of a request target in origin form (RFC 9112 3.2.1), or why it is refused.

    Escapes of unreserved characters are decoded once, then slashes merged, then dot segments resolved
    (RFC 3986 6.2.2); the query stays as it is. With `allow_encoded` ambiguous escapes are kept and reported
    in `encoded` for the caller to decide once it knows the Route.
    """
    if _QUESTION_MARK not in target:
        if plain_path(target):
            return Canonical(target, target, b"", False)
        return _resolve(target, b"", allow_encoded)
    path, _, query = target.partition(b"?")
    if not plain_path(path):
        return _resolve(path, target[len(path) :], allow_encoded)
    if not _QUERY(query):
        return PathError(_BAD_QUERY)
    return Canonical(target, path, query, False)


def split_absolute(target: bytes) -> tuple[bytes, bytes, bytes] | None:
    """`scheme, authority, origin form` of a target in absolute form (RFC 9112 3.2.2), None if it is not.

    The scheme comes out in lower case. The authority is as it was sent: who calls must validate it.
    """
    match = _ABSOLUTE(target)
    if match is None:
        return None
    scheme, authority, rest = match.groups(b"/")
    return scheme.lower(), authority, rest if rest[:1] == b"/" else b"/" + rest


_BAD_QUERY = "The query holds a character that must be percent-encoded."
_BAD_PATH = (
    "The path must start with '/' and holds no space, quote, backslash, '#', control or raw non-ASCII byte."
)
_BAD_ESCAPE = "The path holds a malformed percent escape or an escaped control character."
_AMBIGUOUS_ESCAPE = "The path holds an escaped '/', '\\', ';', '%', '?' or '#'."
_DOTS_WITH_PARAMETERS = "The path holds a dot segment with parameters or an escaped separator."
_ABOVE_ROOT = "The path leads above the root."


def _resolve(path: bytes, suffix: bytes, allow_encoded: bool) -> Canonical | PathError:
    if not _PATH(path):
        return PathError(_BAD_PATH)
    if not _QUERY(suffix):
        return PathError(_BAD_QUERY)
    if _BROKEN_ESCAPE(path):
        return PathError(_BAD_ESCAPE)
    path = _ESCAPE.sub(_normal_escape, path)
    encoded = _AMBIGUOUS(path) is not None
    if encoded and not allow_encoded:
        return PathError(_AMBIGUOUS_ESCAPE)
    path = _MANY_SLASHES.sub(b"/", path)
    if b"/." in path or encoded:
        resolved = _without_dots(path)
        if isinstance(resolved, PathError):
            return resolved
        path = resolved
    return Canonical(path + suffix, path, suffix[1:], encoded)


def _normal_escape(match: re.Match[bytes]) -> bytes:
    """Decode unreserved characters, encode what RFC 3986 does not allow raw, upper-case the rest."""
    found = match[0]
    if len(found) == 1:
        return b"%%%02X" % found[0]
    code = int(found[1:], 16)
    return bytes((code,)) if code in _UNRESERVED else found.upper()


def _without_dots(path: bytes) -> bytes | PathError:
    """Resolve dot segments (RFC 3986 5.2.4); refuse those that hide behind parameters or escapes."""
    kept: list[bytes] = []
    segments = path[1:].split(b"/")
    for segment in segments:
        if segment == b"..":
            if not kept:
                return PathError(_ABOVE_ROOT)
            kept.pop()
        elif segment != b".":
            if _hides_dots(segment):
                return PathError(_DOTS_WITH_PARAMETERS)
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def _hides_dots(segment: bytes) -> bool:
    """`..;x` and `..%2Fadmin`: some upstreams cut the parameters or decode the separator, then resolve."""
    return any(_PARAMETERS.split(part, 1)[0] in (b".", b"..") for part in _ANY_SEPARATOR.split(segment))
