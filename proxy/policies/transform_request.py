"""The policy `transform-request`."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from proxy.exchange import Exchange, Response, problem
from proxy.pipeline.edits import QueryEdits, RequestHeaderEdits
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage
from proxy.pipeline.template import UnsafeValue

_METHOD = re.compile(r"[A-Z]{3,20}")
_UNSENT = ("CONNECT", "TRACE", "HEAD")
_HOST = re.compile(r"([A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class TransformRequest(Policy):
    """Change headers, query, method and Host of the request before it goes to the upstream.

    The order is remove, rename, replace, add, append. `replace` changes only what is there, `add` only
    adds what is not there, `append` always adds a line or parameter. Values may hold `{client_ip}`,
    `{consumer}`, `{request_id}`, `{route}`, `{api}`, `{host}`, `{path}` and `{params.NAME}`, a part of the
    Route's template path; `{{` is a literal brace. Headers of the transport, and those by which the
    gateway says who calls, cannot be set. Bodies are not changed. HEAD stays HEAD, and nothing else becomes
    it: its answer has no body. In observe mode nothing is changed.
    """

    name = "transform-request"
    stage = Stage.SHAPE_REQUEST
    rank = 50
    combine = "stack"

    class Config(PolicyConfig, frozen=True):
        """The changes."""

        remove_headers: Annotated[
            tuple[str, ...], Meta(description="Headers to take away.", examples=[["x-debug"]])
        ] = ()
        rename_headers: Annotated[
            dict[str, str],
            Meta(description="Headers to rename, old name to new.", examples=[{"x-old": "x-new"}]),
        ] = {}
        replace_headers: Annotated[
            dict[str, str],
            Meta(description="New values of headers that are there.", examples=[{"accept": "*/*"}]),
        ] = {}
        add_headers: Annotated[
            dict[str, str],
            Meta(description="Headers to set if they are not there.", examples=[{"x-caller": "{consumer}"}]),
        ] = {}
        append_headers: Annotated[
            dict[str, tuple[str, ...]],
            Meta(description="Header lines to add in any case.", examples=[{"x-tag": ["a", "b"]}]),
        ] = {}
        remove_query: Annotated[
            tuple[str, ...], Meta(description="Query parameters to take away.", examples=[["debug"]])
        ] = ()
        rename_query: Annotated[
            dict[str, str],
            Meta(description="Query parameters to rename, old to new.", examples=[{"q": "query"}]),
        ] = {}
        replace_query: Annotated[
            dict[str, str],
            Meta(description="New values of query parameters that are there.", examples=[{"limit": "100"}]),
        ] = {}
        add_query: Annotated[
            dict[str, str],
            Meta(description="Query parameters to set if not there.", examples=[{"user": "{params.user}"}]),
        ] = {}
        append_query: Annotated[
            dict[str, tuple[str, ...]],
            Meta(description="Query parameters to add in any case.", examples=[{"tag": ["a", "b"]}]),
        ] = {}
        method: Annotated[
            str, Meta(description="Method to use upstream; empty keeps it.", examples=["POST"])
        ] = ""
        host: Annotated[
            str, Meta(description="Host header to send; empty keeps it.", examples=["inventory.internal"])
        ] = ""

        def check(self) -> None:
            """All names, values and templates can be used."""
            if self.method and (not _METHOD.fullmatch(self.method) or self.method in _UNSENT):
                raise Invalid(f"{self.method!r} is not a method that can be sent.", "method")
            if self.host and not _HOST.fullmatch(self.host):
                raise Invalid(f"{self.host!r} is not a host.", "host")
            if not (self.header_edits() or self.query_edits() or self.method or self.host):
                raise Invalid("Give at least one change.")

        def header_edits(self) -> RequestHeaderEdits:
            """The compiled changes to headers."""
            return RequestHeaderEdits(
                "headers",
                self.remove_headers,
                self.rename_headers,
                self.replace_headers,
                self.add_headers,
                self.append_headers,
            )

        def query_edits(self) -> QueryEdits:
            """The compiled changes to the query."""
            return QueryEdits(
                "query",
                self.remove_query,
                self.rename_query,
                self.replace_query,
                self.add_query,
                self.append_query,
            )

    config: Config

    def setup(self) -> None:
        """Compile the changes."""
        self._headers = self.config.header_edits()
        self._query = self.config.query_edits()
        self._edits_query = bool(self._query)
        self._method = self.config.method.encode()
        self._host = self.config.host.encode()
        plain = not (self._edits_query or self._method or self._host)
        self._additions = self._headers.additions if plain else None
        self._steady = plain and self._headers.steady

    def on_request(self, x: Exchange) -> Response | None:
        """Make the changes, all or none."""
        memo = x.memo
        if memo is not None:
            known = memo.get(self)
            if known is not None and known[0] is x.forward and known[1] is x.identity:
                x.forward = known[2]
                return None
        if not self.enforce:
            x.observed = f"{x.observed},{self.label}" if x.observed else self.label
            return None
        before = x.forward
        refusal = self._change(x)
        if memo is not None and self._steady and refusal is None:
            memo[self] = before, x.identity, x.forward
        return refusal

    def _change(self, x: Exchange) -> Response | None:
        if self._additions is not None:
            present = dict(x.forward)
            missing = [pair for pair in self._additions if pair[0] not in present]
            if missing:
                x.forward = x.forward + missing
            return None
        try:
            forward = self._headers.apply(x, x.forward)
            if self._edits_query:
                x.upstream_query = self._query.query(
                    x, x.query if x.upstream_query is None else x.upstream_query
                )
        except UnsafeValue:
            return problem(500, "transform-unsafe-value", "The request cannot be passed on.")
        x.forward = forward
        if self._method and x.method != b"HEAD":
            x.upstream_method = self._method
        if self._host:
            x.host_header = self._host
        return None
