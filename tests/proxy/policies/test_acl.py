"""acl: groups and subscriptions."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.pipeline.policy import Invalid
from proxy.policies.acl import Acl
from tests.builders import by_name, forwarded, make_exchange, make_identity, make_policy, refusal


@pytest.mark.parametrize(
    ("config", "groups", "plan", "rule"),
    [
        ({"allow": ["admin"]}, ("admin",), "", None),
        ({"allow": ["admin", "pro"]}, ("x", "pro"), "", None),
        ({"allow": ["admin"]}, ("administrator", "Admin"), "", "allow"),
        ({"allow": ["admin"]}, (), "", "allow"),
        ({"deny": ["admin"]}, ("admin",), "", "deny"),
        ({"deny": ["admin"]}, ("pro",), "", None),
        ({"deny": ["admin", "pro", "hello"]}, ("hello",), "", "deny"),
        ({"deny": ["admin"]}, (), "", None),
        ({"allow": ["pro"], "deny": ["bad"]}, ("pro", "bad"), "", "deny"),
        ({"allow": ["pro"], "deny": ["bad"]}, ("pro",), "", None),
        ({"subscription": True}, (), "gold", None),
        ({"subscription": True}, (), "", "subscription"),
        ({"subscription": True, "allow": ["pro"]}, ("pro",), "", "subscription"),
        ({"subscription": True, "allow": ["pro"]}, (), "gold", "allow"),
    ],
)
def test_decision(config: dict[str, Any], groups: tuple[str, ...], plan: str, rule: str | None) -> None:
    x = make_exchange(identity=make_identity(groups=groups), plan=plan)
    answer = make_policy(Acl, config).on_request(x)
    if rule is None:
        assert answer is None
    else:
        refused = refusal(answer)
        assert (refused.status, refused.code, refused.rule) == (403, "acl-denied", rule)
        assert refused.detail == "You cannot consume this service"


@pytest.mark.parametrize("config", [{"allow": ["admin"]}, {"deny": ["admin"]}, {"subscription": True}])
def test_nobody_identified(config: dict[str, Any]) -> None:
    answer = refusal(make_policy(Acl, config).on_request(make_exchange(plan="gold")))
    assert (answer.status, answer.code, answer.detail) == (401, "unauthorized", "Unauthorized")
    assert "www-authenticate" in by_name(answer.headers)


@pytest.mark.parametrize(("hide", "enforce", "sent"), [(True, True, 0), (False, True, 1), (True, False, 1)])
def test_groups_header(hide: bool, enforce: bool, sent: int) -> None:
    subject = make_policy(Acl, {"allow": ["admin"], "hide_groups_header": hide}, enforce=enforce)
    x = make_exchange(headers={"x-consumer-groups": "admin"}, identity=make_identity(groups=("admin",)))
    assert subject.on_request(x) is None
    assert len(forwarded(x).get("x-consumer-groups", [])) == sent


def test_something_must_be_asked() -> None:
    with pytest.raises(Invalid):
        make_policy(Acl, {})
    with pytest.raises(Invalid):
        make_policy(Acl, {"hide_groups_header": True})
