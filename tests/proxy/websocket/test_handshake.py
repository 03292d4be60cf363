"""What an opening handshake must look like; the rest is in `tests/gateway/test_websocket.py`."""

from __future__ import annotations

import pytest

from proxy.websocket.handshake import accept_value, accepted, protocols, refuse_handshake
from tests.builders import make_exchange

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {"Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}


def test_the_example_of_rfc_6455() -> None:
    assert accept_value(KEY.encode()) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_extensions_are_not_offered_to_the_upstream() -> None:
    x = make_exchange(headers={**GOOD, "Sec-WebSocket-Extensions": "permessage-deflate"})
    assert refuse_handshake(x, x.route) is None  # type: ignore[arg-type]
    assert b"sec-websocket-extensions" not in dict(x.forward)
    assert b"sec-websocket-extensions" in dict(x.headers)


@pytest.mark.parametrize(
    ("offered", "chosen", "fits"),
    [
        ("chat, v2", b"v2", True),
        ("chat", None, True),
        ("chat", b"v2", False),
        (None, b"v2", False),
    ],
)
def test_the_upstream_chooses_what_was_offered(offered: str | None, chosen: bytes | None, fits: bool) -> None:
    x = make_exchange(headers=GOOD if offered is None else {**GOOD, "Sec-WebSocket-Protocol": offered})
    headers = [(b"sec-websocket-accept", accept_value(KEY.encode()))]
    if chosen is not None:
        headers.append((b"sec-websocket-protocol", chosen))
    assert accepted(x, headers) is fits


def test_an_accept_twice_or_of_another_key_does_not_fit() -> None:
    x = make_exchange(headers=GOOD)
    right = (b"sec-websocket-accept", accept_value(KEY.encode()))
    assert not accepted(x, [right, right])
    assert not accepted(x, [])
    assert not accepted(x, [(b"sec-websocket-accept", accept_value(b"another"))])


def test_protocols_of_several_lines() -> None:
    x = make_exchange(headers={"Sec-WebSocket-Protocol": ["a, b", "c"]})
    assert protocols(x) == [b"a", b"b", b"c"]
