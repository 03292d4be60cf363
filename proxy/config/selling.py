"""Whether an Api is offered in the portal, and whether one that is sold asks its callers for a Subscription."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxy.config import document
from proxy.config.problem import Problem

SERVED = ("published", "deprecated")
UNGUARDED = (
    "is sold under plans, but nothing asks for a subscription: any key may call it. "
    "Attach acl with `subscription: true`"
)


def offered(api: document.Api) -> bool:
    """Whether the portal shows the Api."""
    return api.visibility == "public" and api.lifecycle in SERVED


def guarded(general: Iterable[document.Policy], routes: Iterable[Iterable[document.Policy]]) -> bool:
    """Whether every call needs a Subscription.

    `general` are the policies that all Routes of the Api have, `routes` those of each Route that answers.
    """
    if any(map(_asks, general)):
        return True
    each = [any(map(_asks, policies)) for policies in routes]
    return bool(each) and all(each)


def _asks(policy: document.Policy) -> bool:
    """An acl with a condition or in observe mode lets some through."""
    always = policy.mode == "enforce" and not policy.when and not policy.app
    return policy.name == "acl" and always and policy.config.get("subscription") is True


def unguarded(whole: document.Document) -> Iterator[Problem]:
    """Apis of the portal that are sold under Plans although whoever has a key may call them."""
    sold = {slug for plan in whole.plans for slug in plan.apis or ()}
    everywhere = any(plan.apis is None for plan in whole.plans)
    for api in whole.apis:
        if not offered(api) or not (everywhere or api.slug in sold):
            continue
        routes = (route.policies for route in api.routes if route.enabled)
        if not guarded((*whole.policies, *api.policies), routes):
            yield Problem(f"api {api.slug}", "policies", UNGUARDED)
