"""The policy `request-size`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.exchange import Exchange, Response, problem
from proxy.pipeline.policy import Policy, PolicyConfig, Stage

_TOO_LARGE = "Request size limit exceeded"


class RequestSize(Policy):
    """Refuse request bodies that are too large.

    A body whose length is announced is refused before any of it is read: with 413, or with 417 if the
    client waits for `100 Continue`. A chunked body is counted while it streams and refused when it
    passes the limit, unless `require_content_length` refuses it at once with 411. The smaller of this
    limit and the Route's own holds. In observe mode chunked bodies are not counted.
    """

    name = "request-size"
    stage = Stage.LIMIT
    rank = 10

    class Config(PolicyConfig, frozen=True):
        """How large a body may be."""

        max_bytes: Annotated[
            int, Meta(description="Largest body, in bytes.", examples=[1_048_576], ge=0, le=2**40)
        ] = 10 * 1024 * 1024
        require_content_length: Annotated[
            bool, Meta(description="Refuse bodies that do not say their length (chunked) with 411.")
        ] = False

    config: Config

    def on_request(self, x: Exchange) -> Response | None:
        """Decide by the announced length, or have the core count."""
        length, limit = x.content_length, self.config.max_bytes
        if length is None:
            return self._chunked(x, limit)
        if length <= limit:
            return None
        if x.expect_continue:
            return problem(417, "body-too-large", _TOO_LARGE, close=True)
        return problem(413, "body-too-large", _TOO_LARGE, close=True)

    def _chunked(self, x: Exchange, limit: int) -> Response | None:
        if self.config.require_content_length:
            detail = "A valid Content-Length header is required"
            return problem(411, "length-required", detail, close=True)
        if self.enforce and (x.body_limit is None or limit < x.body_limit):
            x.body_limit, x.limited_by = limit, (self.name, self.label)
        return None
