"""The policy `acl`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.exchange import Exchange, Response, problem
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage

Group = Annotated[str, Meta(min_length=1, max_length=100)]


class Acl(Policy):
    """Let in callers by their groups or by their subscription.

    Needs a policy that identifies the caller, such as key-auth; a caller that is not identified gets 401.
    With `allow` a caller must be in one of its groups; a caller in one of the groups of `deny` is refused
    even then. With `subscription` the caller's app must have an approved subscription to the API.
    """

    name = "acl"
    stage = Stage.AUTHORIZE
    rank = 50

    class Config(PolicyConfig, frozen=True):
        """Who may call."""

        allow: Annotated[
            tuple[Group, ...],
            Meta(
                description="Groups that may call; empty lets every group.", examples=[["partners", "staff"]]
            ),
        ] = ()
        deny: Annotated[
            tuple[Group, ...],
            Meta(
                description="Groups that may not call, whatever else they are in.", examples=[["suspended"]]
            ),
        ] = ()
        subscription: Annotated[
            bool, Meta(description="Ask for an approved subscription to the API that is called.")
        ] = False
        hide_groups_header: Annotated[
            bool, Meta(description="Do not tell the upstream the caller's groups (`x-consumer-groups`).")
        ] = False

        def check(self) -> None:
            """There must be something to decide on."""
            if not (self.allow or self.deny or self.subscription):
                raise Invalid("Give groups to allow or deny, or ask for a subscription.")

    config: Config

    def setup(self) -> None:
        """Make sets of the groups."""
        self._allow = frozenset(self.config.allow)
        self._deny = frozenset(self.config.deny)

    def on_request(self, x: Exchange) -> Response | None:
        """Decide, the strictest rule first."""
        identity = x.identity
        if identity is None:
            return problem(401, "unauthorized", "Unauthorized", headers=[(b"www-authenticate", b"Key")])
        if self._deny and not self._deny.isdisjoint(identity.groups):
            return _refuse("deny")
        if self._allow and self._allow.isdisjoint(identity.groups):
            return _refuse("allow")
        if self.config.subscription and not x.plan:
            return _refuse("subscription")
        if self.config.hide_groups_header and self.enforce:
            x.remove_forward(b"x-consumer-groups")
        return None


def _refuse(rule: str) -> Response:
    return problem(403, "acl-denied", "You cannot consume this service", rule=rule)
