"""A Route of the document, with what its Api says, as the Route that the data plane matches."""

from __future__ import annotations

import re

from proxy.config import document, snapshot

NO_API = document.Api(slug="")
"""Stands in where a Route is looked at by itself."""


def compile_route(route: document.Route, api: document.Api = NO_API, order: int = 0) -> snapshot.Route:
    """Base path and hosts of the Api merged in; hosts in lower case."""
    return snapshot.Route(
        name=route.name,
        api=api.slug,
        path=_below(api.base_path, route.path),
        hosts=tuple(host.lower() for host in route.hosts or api.hosts),
        methods=route.methods,
        headers=route.headers,
        query=route.query,
        order=order,
        upstream=route.upstream,
        redirect=route.redirect,
        strip_prefix=route.strip_prefix,
        rewrite_path=route.rewrite_path,
        preserve_host=route.preserve_host,
        websocket=route.websocket,
        body_bytes=route.body_bytes,
        request_timeout=route.request_timeout,
        first_byte_timeout=route.first_byte_timeout,
        allow_encoded=route.allow_encoded,
    )


def _below(base: str, path: snapshot.PathMatch) -> snapshot.PathMatch:
    """The path below a base path; the prefix `/` is the base path itself."""
    if base == "/":
        return path
    if path.kind == "regex":
        return snapshot.PathMatch("regex", f"{re.escape(base)}(?:{path.value})")
    if path.kind == "prefix" and path.value == "/":
        return snapshot.PathMatch("prefix", base)
    return snapshot.PathMatch(path.kind, base + path.value)
