"""Finds the policies: every module in `proxy/policies/` holds one, and there is no list to edit."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
from typing import Any

import msgspec

import proxy.policies
from proxy.config.snapshot import Policy as PolicyRow
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig
from proxy.pipeline.services import Services

_PATH_IN_MESSAGE = re.compile(r" - at `\$\.?([^`]*)`$")


@functools.cache
def policies() -> dict[str, type[Policy]]:
    """All policies by name, in execution order: stage, rank, name."""
    found = [
        policy
        for module in pkgutil.iter_modules(proxy.policies.__path__)
        for policy in _policies_of(importlib.import_module(f"proxy.policies.{module.name}"))
    ]
    return {policy.name: policy for policy in sorted(found, key=order)}


def order(policy: type[Policy] | Policy) -> tuple[int, int, str]:
    """Where a policy stands in the execution order."""
    return (policy.stage, policy.rank, policy.name)


def decode_config(name: str, config: dict[str, Any]) -> PolicyConfig:
    """The checked `Config` of the policy called `name`; `Invalid` says which field is wrong and why."""
    policy = policies().get(name)
    if policy is None:
        raise Invalid(f"There is no policy {name!r}; there are {', '.join(policies())}.", "name")
    try:
        decoded = msgspec.convert(config, policy.Config)
    except msgspec.ValidationError as error:
        message = str(error)
        path = _PATH_IN_MESSAGE.search(message)
        raise Invalid(message[: path.start()] if path else message, path[1] if path else "") from None
    decoded.check()
    return decoded


def build(row: PolicyRow, services: Services) -> Policy:
    """One attached policy, ready to run."""
    config = decode_config(row.name, dict(row.config))
    return policies()[row.name](config, services, label=row.label, enforce=row.mode == "enforce")


def _policies_of(module: Any) -> list[type[Policy]]:
    return [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Policy) and member.__module__ == module.__name__
    ]
