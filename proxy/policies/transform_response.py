"""The policy `transform-response`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.exchange import Exchange
from proxy.pipeline.edits import ResponseHeaderEdits
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage
from proxy.telemetry.record import OK


class TransformResponse(Policy):
    """Change the headers of the answer before it goes to the client.

    The order is remove, rename, replace, add, append. `replace` changes only what is there, `add` only
    adds what is not there, `append` always adds a line. Values may hold `{client_ip}`, `{consumer}`,
    `{request_id}`, `{route}`, `{api}`, `{host}`, `{path}` and `{params.NAME}`; `{{` is a literal brace.
    Headers of the transport cannot be set. The gateway's own answers are changed too unless
    `only_upstream` is set. In observe mode nothing is changed.
    """

    name = "transform-response"
    stage = Stage.SHAPE_RESPONSE
    rank = 50
    combine = "stack"

    class Config(PolicyConfig, frozen=True):
        """The changes."""

        remove_headers: Annotated[
            tuple[str, ...], Meta(description="Headers to take away.", examples=[["server", "x-powered-by"]])
        ] = ()
        rename_headers: Annotated[
            dict[str, str],
            Meta(description="Headers to rename, old name to new.", examples=[{"x-old": "x-new"}]),
        ] = {}
        replace_headers: Annotated[
            dict[str, str],
            Meta(
                description="New values of headers that are there.", examples=[{"cache-control": "no-store"}]
            ),
        ] = {}
        add_headers: Annotated[
            dict[str, str],
            Meta(
                description="Headers to set if they are not there.",
                examples=[{"strict-transport-security": "max-age=31536000"}],
            ),
        ] = {}
        append_headers: Annotated[
            dict[str, tuple[str, ...]],
            Meta(description="Header lines to add in any case.", examples=[{"link": ["</docs>; rel=help"]}]),
        ] = {}
        only_upstream: Annotated[
            bool, Meta(description="Leave alone what the gateway answers itself, such as its errors.")
        ] = False

        def check(self) -> None:
            """All names, values and templates can be used."""
            if not self.edits():
                raise Invalid("Give at least one change.")

        def edits(self) -> ResponseHeaderEdits:
            """The compiled changes."""
            return ResponseHeaderEdits(
                "headers",
                self.remove_headers,
                self.rename_headers,
                self.replace_headers,
                self.add_headers,
                self.append_headers,
            )

    config: Config

    def setup(self) -> None:
        """Compile the changes."""
        self._edits = self.config.edits()
        self._additions = self._edits.additions

    def on_response(self, x: Exchange) -> None:
        """Make the changes."""
        head = x.response
        if head is None or (self.config.only_upstream and (x.state != OK or not x.tries)):
            return
        if self.enforce and self._additions is not None:
            # Needs no list of headers: the upstream's lines stay as they are.
            for name, value in self._additions:
                if not head.has(name):
                    head.add(name, value)
        elif self.enforce:
            head.headers = self._edits.apply(x, head.headers)
        else:
            x.observed = f"{x.observed},{self.label}" if x.observed else self.label
