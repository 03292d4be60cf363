"""The path that goes upstream, and where a redirect leads; worked out per Route when the table is built."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from proxy.config.snapshot import Redirect, Route
from proxy.http.path import PathError, canonical
from proxy.routing.literal import RouteError, canonical_literal
from proxy.routing.template import Template

if TYPE_CHECKING:
    from proxy.routing.compiled import CompiledRoute

Params = Mapping[str, str] | None
Rewriter = Callable[[bytes, Params], bytes]
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")
_PORTS = {"http": 80, "https": 443}


class RewriteError(ValueError):
    """The request's values make no path that may be forwarded; answer 400."""


def rewrite(route: CompiledRoute, path: bytes, params: Params) -> bytes:
    """The path to forward. On the hot path ask `route.rewriter` first: None means the path as it is."""
    return path if route.rewriter is None else route.rewriter(path, params)


def compile_rewriter(
    config: Route, literal: bytes, template: Template | None, names: tuple[str, ...]
) -> Rewriter | None:
    """What makes the path for upstream; None if nothing changes. Raises RouteError.

    `strip_prefix` takes off the prefix, of a template the literal segments in front; `rewrite_path` takes
    the place of the whole path, or of the prefix alone if that is stripped.
    """
    if config.strip_prefix and config.path.kind == "regex":
        raise RouteError("strip_prefix", "a regular expression has no prefix; use rewrite_path")
    if config.rewrite_path is not None:
        if config.strip_prefix and config.path.kind == "prefix":
            return _swap("rewrite_path", literal, config.rewrite_path)
        return _replace("rewrite_path", config.rewrite_path, names)
    if not config.strip_prefix:
        return None
    prefix = template.base if template is not None else literal
    return _strip(len(prefix)) if prefix not in (b"", b"/") else None


def _strip(length: int) -> Rewriter:
    return lambda path, params: path[length:] or b"/"


def _swap(field: str, prefix: bytes, value: str) -> Rewriter:
    start = len(prefix) if prefix != b"/" else 0
    base = canonical_literal(field, value).rstrip(b"/")
    return lambda path, params: base + path[start:] or b"/"


def _replace(field: str, value: str, names: tuple[str, ...]) -> Rewriter:
    """The whole path from text with `{names}` in it."""
    parts = _PLACEHOLDER.split(value)
    used = parts[1::2]
    for name in used:
        if name not in names:
            raise RouteError(field, f"{{{name}}} is not a parameter of the path")
    if not used:
        fixed = canonical_literal(field, value)
        return lambda path, params: fixed
    canonical_literal(field, _PLACEHOLDER.sub("x", value))
    texts = [_encoded(field, text) for text in parts[::2]]

    def fill(path: bytes, params: Params) -> bytes:
        pieces = [texts[0]]
        for name, text in zip(used, texts[1:], strict=True):
            pieces += ((params or {}).get(name, "").encode("ascii"), text)
        return _admissible(b"".join(pieces))

    return fill


def _encoded(field: str, text: str) -> bytes:
    """A piece of a path; the text around it keeps its dots and slashes from being taken on their own."""
    return b"/".join(canonical_literal(field, f"/x{part}")[2:] for part in text.split("/"))


def _admissible(path: bytes) -> bytes:
    """A path put together from a request's values may not lead elsewhere than it says."""
    merged = re.sub(rb"//+", b"/", path)
    result = canonical(merged, allow_encoded=True)
    if isinstance(result, PathError) or result.path != merged:
        raise RewriteError("The rewritten path is not canonical.")
    return merged


def compile_redirect(config: Route, literal: bytes, names: tuple[str, ...]) -> Rewriter | None:
    """What makes the path of a redirect; None if the Route does not redirect or keeps the path."""
    redirect = config.redirect
    if redirect is None:
        return None
    _check_redirect(redirect)
    if redirect.replace_prefix is not None:
        if redirect.path:
            raise RouteError("redirect", "path and replace_prefix exclude each other")
        if config.path.kind != "prefix":
            raise RouteError("redirect.replace_prefix", "needs a path of kind prefix")
        return _swap("redirect.replace_prefix", literal, redirect.replace_prefix or "/")
    return _replace("redirect.path", redirect.path, names) if redirect.path else None


def _check_redirect(redirect: Redirect) -> None:
    if redirect.scheme not in ("", "http", "https"):
        raise RouteError("redirect.scheme", "is http or https")
    if redirect.host and not _HOST.fullmatch(redirect.host):
        raise RouteError("redirect.host", "is not a host name; the port has its own field")
    if not 0 <= redirect.port <= 65535:
        raise RouteError("redirect.port", "is between 1 and 65535, or 0 for none")


def redirect_location(
    route: CompiledRoute, scheme: bytes, host: bytes, path: bytes, query: bytes, params: Params
) -> bytes:
    """The Location of a redirect; the query is kept. Raises RewriteError.

    Relative (RFC 9110 10.2.2) if scheme, host and port stay the same, so that it is right behind any
    proxy; otherwise without a port unless the Redirect names one that is not the scheme's own.
    """
    redirect = route.config.redirect or Redirect()
    if route.redirector is not None:
        path = route.redirector(path, params)
    location = path + b"?" + query if query else path
    if not (redirect.scheme or redirect.host or redirect.port):
        return location
    new_scheme = redirect.scheme or scheme.decode("ascii")
    authority = redirect.host.encode("ascii") or host
    if redirect.port and redirect.port != _PORTS.get(new_scheme):
        authority += b":%d" % redirect.port
    return new_scheme.encode("ascii") + b"://" + authority + location
