"""ip-restriction: networks of both families, deny before allow."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.pipeline.policy import Invalid
from proxy.policies.ip_restriction import IpRestriction
from tests.builders import make_exchange, make_policy, refusal


@pytest.mark.parametrize(
    ("config", "ip", "rule"),
    [
        ({"deny": ["127.0.0.1", "127.0.0.2"]}, "127.0.0.1", "deny"),
        ({"deny": ["127.0.0.1", "127.0.0.2"]}, "127.0.0.3", None),
        ({"allow": ["127.0.0.2"]}, "127.0.0.1", "allow"),
        ({"allow": ["127.0.0.1"]}, "127.0.0.1", None),
        ({"allow": ["0.0.0.0/0"]}, "127.0.0.1", None),
        ({"allow": ["127.0.0.0/24"], "deny": ["127.0.0.1"]}, "127.0.0.1", "deny"),
        ({"allow": ["127.0.0.0/24"], "deny": ["127.0.0.1"]}, "127.0.0.2", None),
        ({"allow": ["0.0.0.0/0"]}, "2001:db8::1", "allow"),
        ({"allow": ["::/0"]}, "127.0.0.1", "allow"),
        ({"deny": ["2001:db8::/32"]}, "2001:DB8:0::7", "deny"),
        ({"deny": ["10.0.0.0/8"]}, "::ffff:10.1.2.3", "deny"),
        ({"deny": ["::ffff:10.0.0.0/104"]}, "10.1.2.3", "deny"),
        ({"deny": ["10.0.0.0/8"]}, "", "deny"),
        ({"allow": ["10.0.0.0/8"]}, "not an address", "allow"),
    ],
)
def test_decision(config: dict[str, Any], ip: str, rule: str | None) -> None:
    answer = make_policy(IpRestriction, config).on_request(make_exchange(client_ip=ip))
    if rule is None:
        assert answer is None
    else:
        refused = refusal(answer)
        assert (refused.status, refused.code, refused.rule) == (403, "ip-not-allowed", rule)
        assert refused.detail == f"IP address not allowed: {ip}"


def test_status() -> None:
    subject = make_policy(IpRestriction, {"deny": ["10.0.0.1"], "status": 404})
    assert refusal(subject.on_request(make_exchange(client_ip="10.0.0.1"))).status == 404


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, ""),
        ({"allow": ["10.0.0.0/8", "10.0.0.1/8"]}, "allow[1]"),
        ({"deny": ["example.test"]}, "deny[0]"),
        ({"deny": ["10.0.0.0/33"]}, "deny[0]"),
        ({"allow": [""]}, "allow[0]"),
    ],
)
def test_bad_configuration(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        make_policy(IpRestriction, config)
    assert caught.value.field == field
