"""The policy `request-termination`."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Meta

from proxy.exchange import Exchange, Header, Response, problem
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t -~]*")
_EMPTY = (204, 205, 304)


class RequestTermination(Policy):
    """Answer requests yourself: maintenance, a blocked API, a fixed reply.

    Without `body` the answer is the gateway's usual error document with `message` as its detail, or
    `{"message": ...}` if you choose that `format` (statuses below 400 always use it). With `body` the
    answer is that text as `content_type`. With `trigger` only requests that carry a header or a query
    parameter of that name are answered, the others go on. 204, 205 and 304 have no body.
    """

    name = "request-termination"
    stage = Stage.RECEIVE
    rank = 30

    class Config(PolicyConfig, frozen=True):
        """The answer."""

        status: Annotated[int, Meta(description="HTTP status.", examples=[503, 404], ge=200, le=599)] = 503
        message: Annotated[
            str,
            Meta(description="Text for people; empty takes the status's usual one.", max_length=1000),
        ] = ""
        format: Annotated[
            Literal["problem", "message"],
            Meta(description='Form of the answer: problem document, or `{"message": ...}`.'),
        ] = "problem"
        body: Annotated[
            str,
            Meta(
                description="Whole body instead of a message.", examples=["<h1>Soon</h1>"], max_length=65536
            ),
        ] = ""
        content_type: Annotated[
            str, Meta(description="Media type of `body`.", examples=["text/html"], max_length=200)
        ] = "text/plain; charset=utf-8"
        trigger: Annotated[
            str,
            Meta(
                description="Only answer requests with a header or query parameter of this name.",
                examples=["x-maintenance"],
                max_length=100,
            ),
        ] = ""
        retry_after: Annotated[
            int,
            Meta(
                description="Seconds for `Retry-After`; 0 leaves it out.", examples=[120], ge=0, le=31_536_000
            ),
        ] = 0

        def check(self) -> None:
            """Fields that exclude each other, and text that goes into headers."""
            if self.body and self.message:
                raise Invalid("Give a message or a body, not both.", "body")
            if self.status in _EMPTY and (self.body or self.message):
                raise Invalid(f"An answer with status {self.status} has no body.", "status")
            if not self.content_type or not _VALUE.fullmatch(self.content_type):
                raise Invalid("A media type is printable ASCII.", "content_type")
            if self.trigger and not _TOKEN.fullmatch(self.trigger):
                raise Invalid("A trigger is a header name.", "trigger")

    config: Config

    def setup(self) -> None:
        """Make the answer's body and headers, and the trigger's two forms."""
        config = self.config
        self._trigger_header = config.trigger.lower().encode()
        self._trigger_parameter = config.trigger.encode()
        self._message = config.message or _usual(config.status)
        self._headers: list[Header] = []
        self._body = b""
        self._problem = False
        if config.retry_after:
            self._headers.append((b"retry-after", str(config.retry_after).encode()))
        if config.body:
            self._headers.append((b"content-type", config.content_type.encode()))
            self._body = config.body.encode()
        elif config.status >= 400 and config.format == "problem":
            self._problem = True
        elif config.status not in _EMPTY:
            self._headers.append((b"content-type", b"application/json"))
            self._body = msgspec.json.encode({"message": self._message})

    def on_request(self, x: Exchange) -> Response | None:
        """Answer, if the trigger is there."""
        if self._trigger_header and not self._triggered(x):
            return None
        headers = list(self._headers)
        if self._problem:
            return problem(self.config.status, "request-terminated", self._message, headers=headers)
        return Response(self.config.status, headers, self._body)

    def _triggered(self, x: Exchange) -> bool:
        if x.header(self._trigger_header) is not None:
            return True
        return bool(x.query) and any(
            unquote_to_bytes(part.partition(b"=")[0]) == self._trigger_parameter
            for part in x.query.split(b"&")
        )


def _usual(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.capitalize()
    except ValueError:
        return "Request terminated"
