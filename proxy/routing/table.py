"""Which Route takes a request: the table that every request is looked up in.

The rule is one sentence: of all Routes whose conditions all hold, the first in this order wins: host (exact,
longer wildcard, shorter wildcard, any), path (exact, template, regex, longest prefix), a Route that lists
methods, most header conditions, most query conditions, oldest, name. It is the precedence of the Kubernetes
Gateway API (HTTPRouteRule), with the place of templates and regexes fixed; `docs/routing.md` has examples.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence

from proxy.config.snapshot import Route
from proxy.routing.compiled import CompiledRoute, SortKey
from proxy.routing.conditions import Header
from proxy.routing.path_tree import Leaf, Prefixes, PrefixLeaves, TemplateTree
from proxy.routing.pattern import MAX_SUBJECT

__all__ = ["CompiledRoute", "HostTable", "RouteTable", "RouteTableBuilder"]


class HostTable:
    """The Routes of one host pattern."""

    __slots__ = ("exact", "plain", "prefixes", "regexes", "shortcut", "templates")

    def __init__(self) -> None:
        self.exact: dict[bytes, Leaf] = _NO_EXACT
        self.plain = True
        """There are neither templates nor regular expressions."""
        self.templates: TemplateTree | None = None
        self.regexes: list[CompiledRoute] = []
        self.prefixes = PrefixLeaves()
        self.shortcut = True
        """There are prefixes alone."""

    def add(self, route: CompiledRoute) -> Leaf | None:
        """Put a Route where its kind of path is looked for; returns the Leaf of a prefix."""
        kind = route.config.path.kind
        self.shortcut = self.shortcut and kind == "prefix"
        if route.template is not None:
            self.plain = False
            if self.templates is None:
                self.templates = TemplateTree()
            self.templates.add(route.template, route)
        elif route.pattern is not None:
            self.plain = False
            insort(self.regexes, route, key=_regex_key)
        elif kind == "exact":
            if self.exact is _NO_EXACT:
                self.exact = {}
            self.exact.setdefault(route.literal, Leaf()).add(route)
        else:
            return self.prefixes.add(route.literal, route)
        return None

    def candidates(self, path: bytes) -> Iterator[CompiledRoute]:
        """All Routes whose path matches, in order of precedence."""
        leaf = self.exact.get(path)
        if leaf is not None:
            yield from leaf.routes
        if self.templates is not None:
            for leaf in self.templates.find(path):
                yield from leaf.routes
        if len(path) <= MAX_SUBJECT:
            for route in self.regexes:
                if route.pattern is not None and route.pattern.fullmatch(path):
                    yield route
        for leaf in self.prefixes.all(path):
            yield from leaf.routes


_NO_EXACT: dict[bytes, Leaf] = {}
"""Shared by all hosts without exact paths, so that it stays in the processor's cache; never filled."""
Hosts = tuple[HostTable, ...]


class RouteTable:
    """All Routes of one Snapshot. Never changed once built.

    `hosts` are asked for in canonical form: lower case, no port, no dot at the end.
    """

    __slots__ = ("_any", "_by_host", "_exact", "_gone", "_rest", "_shortcuts", "_wildcards", "routes")

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.routes: list[CompiledRoute] = []
        """All Routes in the order they were added; `route.index` is the place in here."""
        self._exact: dict[bytes, HostTable] = {}
        self._wildcards: dict[bytes, HostTable] = {}
        self._any = HostTable()
        self._rest: Hosts = (self._any,)
        self._by_host: dict[bytes, Hosts] = {}
        self._shortcuts: Prefixes[CompiledRoute | None] = Prefixes()
        """Host and prefix in one, of hosts that have prefixes alone, and the Route if it takes every request: with
        very many hosts, every object on the way to a Route is one more place in memory that no cache holds."""
        self._gone: RouteTable | None = None
        """The Routes of retired Apis: looked at when no other Route takes a request."""
        for route in routes:
            self._add(route)

    def _add(self, config: Route) -> CompiledRoute:
        route = CompiledRoute(config, len(self.routes))
        self.routes.append(route)
        if config.retired and self._gone is None:
            self._gone = RouteTable()
        (self._gone if config.retired and self._gone is not None else self)._place(route)
        return route

    def _place(self, route: CompiledRoute) -> None:
        for host in route.hosts:
            if host[:2] == b"*.":
                self._wildcards.setdefault(host[1:], HostTable()).add(route)
            else:
                table = self._exact.setdefault(host, HostTable())
                short = table.shortcut
                leaf = table.add(route)
                if table.shortcut and leaf is not None:
                    self._shortcuts.put(_joined(host, route.literal), leaf.sure)
                elif short:
                    for prefix in table.prefixes.known():
                        self._shortcuts.drop(_joined(host, prefix))
        if not route.hosts:
            self._any.add(route)

    def hosts(self, host: bytes) -> Hosts:
        """The tables that a host is looked up in, most specific first; kept for configured hosts only."""
        tables: list[HostTable] = []
        own = self._exact.get(host)
        if own is not None:
            tables.append(own)
        elif not self._wildcards:
            return self._rest
        if self._wildcards:
            dot = host.find(b".")
            while dot > 0:
                table = self._wildcards.get(host[dot:])
                if table is not None:
                    tables.append(table)
                dot = host.find(b".", dot + 1)
        tables.append(self._any)
        result = tuple(tables)
        if own is not None:
            self._by_host[host] = result
        return result

    def match(
        self, host: bytes, path: bytes, method: bytes, headers: Sequence[Header], query: bytes
    ) -> CompiledRoute | None:
        """The Route that takes this request, None if there is none. Host and path in canonical form."""
        if self._exact:
            route = self._shortcuts.longest(host + path)
            if route is not None:
                return route
        for table in self._by_host.get(host) or self.hosts(host):
            leaf = table.exact.get(path)
            if leaf is None and table.plain:
                leaf = table.prefixes.longest(path)
                if leaf is None:
                    continue
            if leaf is not None:
                if leaf.sure is not None:
                    return leaf.sure
                route = _first(leaf.routes, method, headers, query)
                if route is not None:
                    return route
            route = _first(table.candidates(path), method, headers, query)
            if route is not None:
                return route
        return self._gone.match(host, path, method, headers, query) if self._gone is not None else None

    def candidates(self, host: bytes, path: bytes) -> Iterator[CompiledRoute]:
        """All Routes whose host and path match, in order of precedence."""
        yield from self._served(host, path)
        if self._gone is not None:
            yield from self._gone._served(host, path)

    def _served(self, host: bytes, path: bytes) -> Iterator[CompiledRoute]:
        for table in self._by_host.get(host) or self.hosts(host):
            yield from table.candidates(path)

    def allowed_methods(
        self, host: bytes, path: bytes, headers: Sequence[Header] = (), query: bytes = b""
    ) -> set[bytes]:
        """The methods that this request could have been made with: the `Allow` of a 405; empty means 404.

        To be asked when `match` found nothing.
        """
        allowed: set[bytes] = set()
        for route in self._served(host, path):
            if route.methods is not None and (route.test is None or route.test(headers, query)):
                allowed |= route.methods
        return allowed


class RouteTableBuilder:
    """Builds a table Route by Route, so that a worker can give way to its loop in between."""

    def __init__(self) -> None:
        self._table = RouteTable()

    def add(self, config: Route) -> CompiledRoute:
        """Compile one Route. Raises `RouteError` (field, reason) if it cannot be."""
        return self._table._add(config)

    def finish(self) -> RouteTable:
        """The table; the builder must not be used any more."""
        return self._table


def _joined(host: bytes, prefix: bytes) -> bytes:
    return host if prefix == b"/" else host + prefix


def _first(
    routes: Iterable[CompiledRoute], method: bytes, headers: Sequence[Header], query: bytes
) -> CompiledRoute | None:
    for route in routes:
        if (route.methods is None or method in route.methods) and (
            route.test is None or route.test(headers, query)
        ):
            return route
    return None


def _regex_key(route: CompiledRoute) -> tuple[int, SortKey]:
    return -len(route.config.path.value), route.key
