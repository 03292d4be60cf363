"""All attached policies of a document with the place where each is attached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from proxy.config import document, snapshot


class Placed(NamedTuple):
    """A policy, the scope it is attached to and that scope's subject (empty for global)."""

    policy: document.Policy
    scope: snapshot.Scope
    subject: str

    @property
    def label(self) -> str:
        """What tells it from all others."""
        return document.label_of(self.policy, self.scope, self.subject)

    def compiled(self) -> snapshot.Policy:
        """As the data plane sees it."""
        policy = self.policy
        return snapshot.Policy(
            name=policy.name,
            label=self.label,
            scope=self.scope,
            subject=self.subject,
            mode=policy.mode,
            when=policy.when,
            position=policy.position,
            config=policy.config,
        )


def placed_policies(whole: document.Document) -> Iterator[Placed]:
    """In the order of the document, general scopes first."""
    for policy in whole.policies:
        yield Placed(policy, "consumer" if policy.app else "global", policy.app)
    for plan in whole.plans:
        yield from (Placed(policy, "plan", plan.name) for policy in plan.policies)
    for api in whole.apis:
        yield from (Placed(policy, "api", api.slug) for policy in api.policies)
        for route in api.routes:
            yield from (Placed(policy, "route", route.name) for policy in route.policies)
