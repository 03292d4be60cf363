"""request-size: by announced length, or by counting."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.policies.request_size import RequestSize
from tests.builders import make_exchange, make_policy, refusal


@pytest.mark.parametrize(
    ("config", "length", "expect", "status", "body_limit"),
    [
        ({}, 0, False, None, None),
        ({}, 10 * 1024 * 1024, False, None, None),
        ({}, 10 * 1024 * 1024 + 1, False, 413, None),
        ({"max_bytes": 10}, 10, False, None, None),
        ({"max_bytes": 10}, 11, False, 413, None),
        ({"max_bytes": 10}, 11, True, 417, None),
        ({"max_bytes": 10}, 10, True, None, None),
        ({"max_bytes": 10}, None, False, None, 10),
        ({"max_bytes": 10}, None, True, None, 10),
        ({"max_bytes": 0}, 1, False, 413, None),
        ({"max_bytes": 0}, 0, False, None, None),
        ({"max_bytes": 10, "require_content_length": True}, None, False, 411, None),
        ({"max_bytes": 10, "require_content_length": True}, 5, False, None, None),
        ({"max_bytes": 10, "require_content_length": True}, 0, False, None, None),
    ],
)
def test_decision(
    config: dict[str, Any], length: int | None, expect: bool, status: int | None, body_limit: int | None
) -> None:
    x = make_exchange("POST", content_length=length, expect_continue=expect)
    answer = make_policy(RequestSize, config).on_request(x)
    assert x.body_limit == body_limit
    if status is None:
        assert answer is None
        return
    refused = refusal(answer)
    assert refused.status == status
    assert refused.close
    if status == 411:
        assert refused.detail == "A valid Content-Length header is required"
    else:
        assert (refused.code, refused.detail) == ("body-too-large", "Request size limit exceeded")


def test_the_smaller_limit_holds() -> None:
    x = make_exchange("POST", content_length=None, body_limit=5)
    make_policy(RequestSize, {"max_bytes": 10}).on_request(x)
    assert (x.body_limit, x.limited_by) == (5, None)
    make_policy(RequestSize, {"max_bytes": 3}).on_request(x)
    assert (x.body_limit, x.limited_by) == (3, ("request-size", "request-size"))


def test_observing_limits_nothing() -> None:
    x = make_exchange("POST", content_length=None)
    assert make_policy(RequestSize, {"max_bytes": 1}, enforce=False).on_request(x) is None
    assert x.body_limit is None
