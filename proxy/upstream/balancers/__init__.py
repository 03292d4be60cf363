"""The balancing rules, one file each; a new one is its file and its line here.

`Algorithm` in `proxy.config.snapshot` names them for configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from proxy.upstream.balancers.round_robin import RoundRobin

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.upstream.pool import Instance


class Balancer(Protocol):
    """Chooses an Instance for each request. Made anew whenever the set of usable Instances changes."""

    def pick(self, x: Exchange) -> Instance:
        """The Instance for this request."""


BALANCERS: dict[str, Callable[[Sequence[Instance]], Balancer]] = {
    "round-robin": RoundRobin,
}
