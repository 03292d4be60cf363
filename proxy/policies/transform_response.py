"""The policy `transform-response`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.exchange import Exchange, UpstreamHead
from proxy.pipeline.edits import ResponseHeaderEdits
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage
from proxy.telemetry.record import OK

_REMEMBERED = 1024
_REMEMBERED_BYTES = 1024


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
        self._constant = self.enforce and self._edits.constant
        self._only_upstream = self.config.only_upstream
        self._changed: dict[bytes, bytes] = {}

    def on_response(self, x: Exchange) -> None:
        """Make the changes."""
        head = x.response
        if head is None or (self._only_upstream and (x.state != OK or not x.tries)):
            return
        block = head.block
        if block is not None and self._constant:
            changed = self._changed.get(block)
            head.block = self._change(x, block) if changed is None else changed
        elif self.enforce:
            head.headers = self._edits.apply(x, head.headers)
        else:
            x.observed = f"{x.observed},{self.label}" if x.observed else self.label

    def _change(self, x: Exchange, block: bytes) -> bytes:
        """The changed lines of a head; a service that is asked often sends equal ones."""
        # A head of its own: reading the exchange's would leave the lines as they were beside the new block.
        pairs = self._edits.apply(x, UpstreamHead(0, block=block).headers)
        changed = b"".join([b"%b: %b\r\n" % pair for pair in pairs])
        if len(block) <= _REMEMBERED_BYTES:
            if len(self._changed) >= _REMEMBERED:
                self._changed.clear()
            self._changed[block] = changed
        return changed
