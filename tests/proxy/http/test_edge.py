"""Which heads may stand for equal ones that come later."""

import pytest

from proxy.exchange import Exchange
from proxy.http.edge import repeatable


def test_a_plain_head_may() -> None:
    assert repeatable(Exchange())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content_length", 5),
        ("content_length", None),
        ("protocol", "HTTP/1.0"),
        ("close", True),
        ("upgrade", True),
        ("websocket", True),
        ("expect_continue", True),
        ("was_forwarded", True),
        ("client_request_id", b"abc"),
        ("traceparent", b"00-"),
        ("encoded", True),
    ],
)
def test_what_says_more_than_the_head_may_not(field: str, value: object) -> None:
    x = Exchange()
    setattr(x, field, value)
    assert not repeatable(x)
