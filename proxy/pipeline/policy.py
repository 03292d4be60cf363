"""What a policy is: the base class, the stages, and the error for a bad configuration.

A policy is one file in `proxy/policies/`. Its class docstring is the catalogue card (first line) and the
help text; its `Config` gives validation, API schema, console form and documentation.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from proxy.exchange import Exchange, Response

if TYPE_CHECKING:
    from proxy.pipeline.services import Services


class Stage(enum.IntEnum):
    """The order in which request hooks run; within a stage the policy's `rank` decides, low first."""

    RECEIVE = 1
    """Before anybody is identified: CORS, termination, address rules."""
    IDENTIFY = 2
    """Who calls."""
    AUTHORIZE = 3
    """May they."""
    LIMIT = 4
    """How much of it."""
    SHAPE_REQUEST = 5
    """What the upstream gets to see."""
    SHAPE_RESPONSE = 6
    """What the client gets to see."""


class Invalid(Exception):
    """A policy's configuration is wrong; `field` is a dotted path in it, empty for the whole."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class PolicyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every `Config`: unknown fields are errors; `check` holds rules across fields."""

    def check(self) -> None:
        """Raise `Invalid` if fields do not fit together."""


RequestHookResult = Response | Awaitable[Response | None] | None


class Policy:
    """Base class of the policies. One instance per attached policy and Snapshot.

    Override only what you need: a hook that is not overridden costs a request nothing. `on_request` may
    be a plain function (cheap) or `async def`. It returns None to go on or a `Response` to answer now.
    `combine` says how instances on several scopes meet: with `override` the most specific one runs
    (consumer, plan, route, api, global), with `stack` all of them run, general first.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    rank: ClassVar[int] = 50
    combine: ClassVar[Literal["override", "stack"]] = "override"
    needs_request_body: ClassVar[bool] = False
    needs_response_body: ClassVar[bool] = False

    class Config(PolicyConfig, frozen=True):
        """No options."""

    def __init__(self, config: Any, services: Services, *, label: str = "", enforce: bool = True) -> None:
        self.config = config
        self.services = services
        self.label = label or self.name
        self.enforce = enforce
        self.setup()

    def setup(self) -> None:
        """All expensive work, once per Snapshot. Raise `Invalid` for what only shows here."""

    def on_request(self, x: Exchange) -> RequestHookResult:
        """The request head is complete."""

    def on_request_body(self, x: Exchange, body: bytes) -> bytes | Response:
        """The whole request body (only with `needs_request_body`); returns what goes on."""
        return body

    def on_response(self, x: Exchange) -> None:
        """An answer is about to begin; `x.response` is its head, changeable. Gateway errors pass too."""

    def on_response_body(self, x: Exchange, body: bytes) -> bytes:
        """The whole response body (only with `needs_response_body`); returns what goes on."""
        return body

    def on_finish(self, x: Exchange) -> None:
        """The exchange is over, whatever its end."""

    def close(self) -> None:
        """The Snapshot is replaced and its last request ended."""
