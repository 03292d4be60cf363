"""Edits: the parts that the transform policies do not show."""

from __future__ import annotations

import pytest

from proxy.pipeline.edits import Edits, QueryEdits, RequestHeaderEdits, ResponseHeaderEdits
from proxy.pipeline.policy import Invalid
from tests.builders import make_exchange


def test_replace_keeps_the_place_and_the_input() -> None:
    pairs = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"b", b"4")]
    edits = RequestHeaderEdits("headers", (), {}, {"b": "new"}, {}, {})
    assert edits.apply(make_exchange(), pairs) == [(b"a", b"1"), (b"b", b"new"), (b"c", b"3")]
    assert len(pairs) == 4


def test_nothing_to_do() -> None:
    edits = RequestHeaderEdits("headers", (), {}, {}, {}, {})
    pairs = [(b"a", b"1")]
    assert not edits
    assert edits.apply(make_exchange(), pairs) == pairs
    assert edits.apply(make_exchange(), pairs) is not pairs


def test_empty_query() -> None:
    assert QueryEdits("query", ("a",), {}, {}, {}, {}).query(make_exchange(), b"") == b""
    assert QueryEdits("query", ("a",), {}, {}, {}, {}).query(make_exchange(), b"a") == b""


def test_responses_may_carry_what_requests_may_not() -> None:
    ResponseHeaderEdits("headers", (), {}, {}, {"x-request-id": "{request_id}"}, {})
    with pytest.raises(Invalid):
        RequestHeaderEdits("headers", (), {}, {}, {"x-request-id": "{request_id}"}, {})


def test_errors_name_the_field() -> None:
    with pytest.raises(Invalid) as caught:
        QueryEdits("query", (), {}, {}, {}, {"tag": ("fine", "{nope}")})
    assert caught.value.field == "append_query.tag"


def test_the_base_decides_nothing() -> None:
    with pytest.raises(NotImplementedError):
        Edits("headers", ("a",), {}, {}, {}, {})
