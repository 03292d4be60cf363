"""A Route made ready for matching in one worker, and what is wrong with a Route that cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from proxy.config.snapshot import Route
from proxy.routing import pattern, rewrite, template
from proxy.routing.conditions import Test, compile_test
from proxy.routing.literal import RouteError, canonical_literal

SortKey = tuple[bool, int, int, int, str]
_HOST = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?|\[[0-9a-f:.]+\]"
)
_METHOD = re.compile(r"[A-Z]+([-_][A-Z]+)*")


class CompiledRoute:
    """One Route in one worker's table; the core hangs on it what else it needs at hand per Route.

    `methods` None means all. `test` checks headers and query, None if there is nothing to check. `rewriter`
    is None if the path is forwarded as it is; else `rewriter(path, params)` is the path to forward, and
    raises `RewriteError` if there is none. Only with `has_params` there is something to `extract`.
    """

    chain: Any = None
    meter: Any = None
    labels: tuple[str, str, int] = ("", "", 0)
    """Api, Route and Revision, as each record of this Route says them."""
    upstream: Any = None
    body_bytes: int = 0
    first_byte_timeout: float = 0.0
    request_timeout: float = float("inf")
    plain: bool = False
    """Path and Host go upstream as they are; no redirect."""

    methods: frozenset[bytes] | None = None
    test: Test | None = None
    literal: bytes = b""
    template: template.Template | None = None
    pattern: re.Pattern[bytes] | None = None
    has_params: bool = False
    rewriter: rewrite.Rewriter | None = None
    redirector: rewrite.Rewriter | None = None

    def __init__(self, config: Route, index: int) -> None:
        self.config = config
        self.index = index
        self.hosts: tuple[bytes, ...] = _hosts(config)
        if config.methods:
            self.methods = _methods(config)
        self.test = compile_test(config)
        self.key: SortKey = (
            not config.methods,
            -len(config.headers),
            -len(config.query),
            config.order,
            config.name,
        )
        self._compile_path(config)
        names = self._names()
        if config.redirect is not None:
            self.redirector = rewrite.compile_redirect(config, self.literal, names)
        elif config.strip_prefix or config.rewrite_path is not None:
            self.rewriter = rewrite.compile_rewriter(config, self.literal, self.template, names)

    def _compile_path(self, config: Route) -> None:
        kind, value = config.path.kind, config.path.value
        if kind == "template":
            self.template = template.parse(value)
            self.has_params = bool(self.template.parameters)
        elif kind == "regex":
            self.pattern = pattern.compile_safe("path.value", value)
            self.has_params = bool(self.pattern.groupindex)
        else:
            self.literal = canonical_literal("path.value", value)
            if kind == "prefix":
                self.literal = self.literal.rstrip(b"/") or b"/"

    def _names(self) -> tuple[str, ...]:
        if self.template is not None:
            return tuple(parameter.name for parameter in self.template.parameters)
        return tuple(self.pattern.groupindex) if self.pattern is not None else ()

    def __repr__(self) -> str:
        return f"CompiledRoute({self.config.name!r})"

    def matches_path(self, path: bytes) -> bool:
        """Whether the path alone matches; the table finds that out for all Routes at once."""
        if self.template is not None:
            return self.template.matches(path)
        if self.pattern is not None:
            return len(path) <= pattern.MAX_SUBJECT and self.pattern.fullmatch(path) is not None
        if self.config.path.kind == "exact" or self.literal == path:
            return self.literal == path
        return self.literal == b"/" or path.startswith(self.literal + b"/")

    def extract(self, path: bytes) -> dict[str, str]:
        """Values of the template's or pattern's names in a path that matched, in canonical (escaped) form."""
        if self.template is not None:
            return self.template.extract(path)
        match = self.pattern.fullmatch(path) if self.pattern is not None else None
        if match is None:
            return {}
        return {name: value.decode("ascii") for name, value in match.groupdict(b"").items()}


def problems(config: Route) -> list[tuple[str, str]]:
    """Everything that keeps a Route from being compiled, as (field, reason); empty if nothing does."""
    found: list[tuple[str, str]] = []
    checks: tuple[Callable[[], object], ...] = (
        lambda: _hosts(config),
        lambda: _methods(config),
        lambda: compile_test(config),
    )
    for check in checks:
        try:
            check()
        except RouteError as error:
            found.append((error.field, error.reason))
    if not found:
        try:
            CompiledRoute(config, 0)
        except RouteError as error:
            found.append((error.field, error.reason))
    return found


def _hosts(config: Route) -> tuple[bytes, ...]:
    """Hosts in lower case; `*` and none at all mean any host."""
    names: list[bytes] = []
    for host in config.hosts:
        name = host.lower().rstrip(".") if host.isascii() else host
        if name == "*":
            return ()
        if len(name) > 253 or not _HOST.fullmatch(name):
            raise RouteError(
                "hosts", f"{host!r} is not a host name; '*.' may stand in front of one, no port after it"
            )
        names.append(name.encode("ascii"))
    return tuple(dict.fromkeys(names))


def _methods(config: Route) -> frozenset[bytes]:
    for method in config.methods:
        if not _METHOD.fullmatch(method):
            raise RouteError("methods", f"{method!r} is not a method in upper case")
    methods = {method.encode("ascii") for method in config.methods}
    return frozenset(methods | {b"HEAD"}) if b"GET" in methods else frozenset(methods)
