"""The policy `ip-restriction`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.exchange import Exchange, Response, problem
from proxy.http.addresses import Networks
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage


class IpRestriction(Policy):
    """Allow or deny callers by IP address.

    Networks are written as `10.0.0.0/8`, `2001:db8::/32` or as single addresses. Deny wins over allow.
    Behind a load balancer, name it in the gateway's trusted proxies first: otherwise all callers seem
    to have its address. IPv4 callers are recognised on IPv6 sockets too.
    """

    name = "ip-restriction"
    stage = Stage.RECEIVE
    rank = 20

    class Config(PolicyConfig, frozen=True):
        """Which networks may call."""

        allow: Annotated[
            tuple[str, ...],
            Meta(description="Networks that may call; empty allows all.", examples=[["10.0.0.0/8", "::1"]]),
        ] = ()
        deny: Annotated[
            tuple[str, ...],
            Meta(description="Networks that may not call, even if allowed.", examples=[["192.0.2.0/24"]]),
        ] = ()
        status: Annotated[
            int, Meta(description="HTTP status of the refusal.", examples=[403, 404], ge=400, le=599)
        ] = 403

        def check(self) -> None:
            """Every entry is a network, and there is at least one."""
            if not (self.allow or self.deny):
                raise Invalid("Give at least one network to allow or deny.")
            _networks(self.allow, "allow")
            _networks(self.deny, "deny")

    config: Config

    def setup(self) -> None:
        """Compile the networks."""
        self._allow = _networks(self.config.allow, "allow")
        self._deny = _networks(self.config.deny, "deny")

    def on_request(self, x: Exchange) -> Response | None:
        """Refuse who is denied, then who is not allowed; a caller without an address is refused."""
        ip = x.client_ip
        if not ip or ip in self._deny:
            return self._refuse(ip, "deny")
        if self.config.allow and ip not in self._allow:
            return self._refuse(ip, "allow")
        return None

    def _refuse(self, ip: str, rule: str) -> Response:
        return problem(self.config.status, "ip-not-allowed", f"IP address not allowed: {ip}", rule=rule)


def _networks(entries: tuple[str, ...], field: str) -> Networks:
    """The compiled networks; `Invalid` names the entry that is none."""
    try:
        return Networks(entries)
    except ValueError:
        for index, entry in enumerate(entries):
            try:
                Networks((entry,))
            except ValueError as error:
                raise Invalid(f"{entry!r} is not a network: {error}", f"{field}[{index}]") from None
        raise
