"""Merges the policies of all scopes into the chain of hooks that a request on one Route runs.

Built once per Snapshot. Only overridden hooks are in it, so what a policy does not do costs nothing.
Policies of a Plan or a consumer can only be known once somebody is identified: where there are any, the
chain holds a switch after the identify stage, which puts the exchange on the variant for its caller.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from proxy.config.snapshot import Policy as PolicyRow
from proxy.exchange import Exchange, Response
from proxy.pipeline.expr import compile_condition
from proxy.pipeline.policy import Policy, Stage
from proxy.pipeline.registry import order

SCOPES = ("global", "api", "route", "plan", "consumer")
SWITCHED = Response(0)
"""What the switch returns: the exchange is on another chain now, go on there."""

_STANDING = frozenset((Stage.IDENTIFY, Stage.AUTHORIZE))
RequestHook = Callable[[Exchange], Any]
Observer = Callable[[str, str], None]
"""Told the name and label of a policy that would have refused, were it not observed only."""


class Attached:
    """A built policy with where and how it is attached."""

    __slots__ = ("policy", "row")

    def __init__(self, row: PolicyRow, policy: Policy) -> None:
        self.row = row
        self.policy = policy

    def __repr__(self) -> str:
        return f"Attached({self.row.label!r})"


class Chain:
    """The hooks that a request runs, in order.

    `names[i]` is the policy and label of `request[i]`. A response hook is paired with the number of
    request hooks that must have run for it to be called, so that a refusal only meets the response hooks
    of policies that took part; policies without a request hook always take part.
    """

    __slots__ = (
        "finish",
        "names",
        "request",
        "request_body",
        "response",
        "response_body",
        "standing",
    )

    def __init__(
        self,
        early: list[Attached],
        late: list[Attached],
        observe: Observer,
        switch: RequestHook | None = None,
    ) -> None:
        self.request: list[RequestHook] = []
        self.names: list[tuple[str, str]] = []
        self.response: list[tuple[int, Callable[[Exchange], None]]] = []
        self.request_body: list[tuple[str, str, Callable[[Exchange, bytes], bytes | Response]]] = []
        self.response_body: list[Callable[[Exchange, bytes], bytes]] = []
        self.finish: list[Callable[[Exchange], None]] = []
        self.standing: list[RequestHook] = []
        """The request hooks that say who may call, for looking again while a WebSocket is open."""
        for item in early:
            self._add(item, observe)
        if switch is not None:
            self.request.append(switch)
            self.names.append(("", ""))
        for item in late:
            self._add(item, observe)

    def _add(self, item: Attached, observe: Observer) -> None:
        policy, kind = item.policy, type(item.policy)
        needed = 0
        if kind.on_request is not Policy.on_request:
            self.request.append(_hook(item, observe))
            self.names.append((policy.name, policy.label))
            needed = len(self.request)
            if policy.stage in _STANDING and not inspect.iscoroutinefunction(policy.on_request):
                self.standing.append(self.request[-1])
        if kind.on_response is not Policy.on_response:
            self.response.append((needed, _conditional(item, policy.on_response)))
        if kind.on_finish is not Policy.on_finish:
            self.finish.append(policy.on_finish)
        if policy.needs_request_body:
            self.request_body.append((policy.name, policy.label, policy.on_request_body))
        if policy.needs_response_body:
            self.response_body.append(policy.on_response_body)


class ChainBuilder:
    """Makes the chains of one Snapshot; Routes with the same policies share one chain."""

    def __init__(self, attached: Iterable[Attached], observe: Observer) -> None:
        self._observe = observe
        self._by_scope: dict[tuple[str, str], list[Attached]] = {}
        for item in attached:
            if item.row.mode != "off":
                self._by_scope.setdefault((item.row.scope, item.row.subject), []).append(item)
        self._plans = {subject for scope, subject in self._by_scope if scope == "plan"}
        self._consumers = {subject for scope, subject in self._by_scope if scope == "consumer"}
        self._shared: dict[tuple[int, ...], Chain] = {}

    def for_route(self, route: str, api: str) -> Chain:
        """The chain of a Route before anybody is identified."""
        general = [
            *self._by_scope.get(("global", ""), ()),
            *self._by_scope.get(("api", api), ()),
            *self._by_scope.get(("route", route), ()),
        ]
        key = tuple(id(item) for item in general)
        chain = self._shared.get(key)
        if chain is None:
            switch = self._switch(general) if self._plans or self._consumers else None
            effective = _effective(general)
            chain = self._shared[key] = Chain(_early(effective), _late(effective), self._observe, switch)
        return chain

    def _switch(self, general: list[Attached]) -> RequestHook:
        variants: dict[tuple[str, str], Chain] = {}
        plans, consumers, by_scope, observe = self._plans, self._consumers, self._by_scope, self._observe
        early = _early(_effective(general))

        def switch(x: Exchange) -> Response | None:
            app = x.identity.app if x.identity is not None else ""
            key = (x.plan if x.plan in plans else "", app if app in consumers else "")
            if key == ("", ""):
                return None
            chain = variants.get(key)
            if chain is None:
                own = [*by_scope.get(("plan", key[0]), ()), *by_scope.get(("consumer", key[1]), ())]
                late = _effective([*_late(general), *own])
                chain = variants[key] = Chain(early, late, observe, _stay)
            x.chain = chain
            return SWITCHED

        return switch


def _stay(x: Exchange) -> None:
    """Holds the switch's place in a variant, so that positions are the same in both chains."""


def _early(attached: list[Attached]) -> list[Attached]:
    return [item for item in attached if item.policy.stage <= Stage.IDENTIFY]


def _late(attached: list[Attached]) -> list[Attached]:
    return [item for item in attached if item.policy.stage > Stage.IDENTIFY]


def _effective(attached: list[Attached]) -> list[Attached]:
    """Settle who runs: `override` keeps the instances of the most specific scope. In execution order."""
    specific: dict[str, int] = {}
    for item in attached:
        rank = SCOPES.index(item.row.scope)
        specific[item.row.name] = max(rank, specific.get(item.row.name, 0))
    kept = [
        item
        for item in attached
        if item.policy.combine == "stack" or SCOPES.index(item.row.scope) == specific[item.row.name]
    ]
    return sorted(
        kept,
        key=lambda item: (
            *order(item.policy),
            SCOPES.index(item.row.scope),
            item.row.position,
            item.row.label,
        ),
    )


def _hook(item: Attached, observe: Observer) -> RequestHook:
    hook: RequestHook = item.policy.on_request
    if item.row.mode == "observe":
        hook = _observed(item.policy, hook, observe)
    return _conditional(item, hook)


def _conditional(item: Attached, hook: Callable[[Exchange], Any]) -> Callable[[Exchange], Any]:
    if not item.row.when:
        return hook
    holds = compile_condition(item.row.when)

    def conditional(x: Exchange) -> Any:
        return hook(x) if holds(x) else None

    return conditional


def _observed(policy: Policy, hook: RequestHook, observe: Observer) -> RequestHook:
    def note(x: Exchange, response: Response | None) -> None:
        if response is not None:
            x.observed = f"{x.observed},{policy.label}" if x.observed else policy.label
            observe(policy.name, policy.label)

    async def later(x: Exchange, pending: Awaitable[Response | None]) -> None:
        note(x, await pending)

    def observed(x: Exchange) -> Awaitable[None] | None:
        result = hook(x)
        if result is None or isinstance(result, Response):
            note(x, result)
            return None
        return later(x, result)

    return observed
