"""transform-response: headers on their way to the client."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.exchange import UpstreamHead
from proxy.pipeline.policy import Invalid
from proxy.policies.transform_response import TransformResponse
from proxy.telemetry.record import OK, REJECTED, UPSTREAM_ERROR
from tests.builders import make_exchange, make_identity, make_policy, respond


@pytest.mark.parametrize(
    ("config", "headers", "seen"),
    [
        ({"remove_headers": ["Server"]}, {"server": "x", "a": "1"}, {"a": ["1"]}),
        ({"rename_headers": {"h1": "h2"}}, {"h1": ["a", "b"]}, {"h2": ["a", "b"]}),
        ({"replace_headers": {"h1": "v"}}, {"h1": ["a", "b"]}, {"h1": ["v"]}),
        ({"replace_headers": {"h1": "v"}}, {}, {}),
        ({"add_headers": {"h1": "v"}}, {"h1": "a"}, {"h1": ["a"]}),
        ({"add_headers": {"h1": "{request_id}"}}, {}, {"h1": ["0123456789abcdef"]}),
        (
            {"append_headers": {"set-cookie": ["a=1", "b=2"]}},
            {"set-cookie": "c=3"},
            {"set-cookie": ["c=3", "a=1", "b=2"]},
        ),
    ],
)
def test_headers(config: dict[str, Any], headers: dict[str, Any], seen: dict[str, list[str]]) -> None:
    assert respond(make_exchange(), make_policy(TransformResponse, config), 200, headers) == seen


@pytest.mark.parametrize(("state", "tries"), [(REJECTED, 0), (UPSTREAM_ERROR, 2), (OK, 0)])
@pytest.mark.parametrize(("only_upstream", "changed"), [(False, True), (True, False)])
def test_own_answers(state: int, tries: int, only_upstream: bool, changed: bool) -> None:
    """A refusal goes through like any other answer, unless that is switched off."""
    config = {"add_headers": {"h1": "v"}, "only_upstream": only_upstream}
    headers = respond(make_exchange(state=state, tries=tries), make_policy(TransformResponse, config), 401)
    assert ("h1" in headers) is changed


def test_answers_of_the_upstream_are_always_changed() -> None:
    config = {"add_headers": {"h1": "v"}, "only_upstream": True}
    assert respond(make_exchange(tries=1), make_policy(TransformResponse, config), 500) == {"h1": ["v"]}


def test_unsafe_values_are_cleaned() -> None:
    """It is too late to refuse; the header must not split the answer, nor the other changes be lost."""
    config = {"remove_headers": ["server"], "add_headers": {"x-user": "{consumer}"}}
    x = make_exchange(identity=make_identity("bob\r\nset-cookie: a=1\x00"))
    headers = respond(x, make_policy(TransformResponse, config), 200, {"server": "x"})
    assert headers == {"x-user": ["bobset-cookie: a=1"]}


def test_no_head_no_change() -> None:
    make_policy(TransformResponse, {"add_headers": {"h1": "v"}}).on_response(make_exchange())


def test_observing_only_notes() -> None:
    x = make_exchange()
    subject = make_policy(TransformResponse, {"add_headers": {"h1": "v"}}, enforce=False)
    assert respond(x, subject) == {}
    assert x.observed == "transform-response"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"only_upstream": True},
        {"add_headers": {"content-length": "1"}},
        {"remove_headers": ["transfer-encoding"]},
        {"rename_headers": {"a": "connection"}},
        {"add_headers": {"x": "a\r\nb"}},
        {"add_headers": {"x": "{unknown}"}},
        {"add_headers": {"x y": "1"}},
    ],
)
def test_bad_configuration(config: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        make_policy(TransformResponse, config)


def test_lines_of_an_upstream_are_changed_alike_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.policies.transform_response._REMEMBERED", 2)
    subject = make_policy(TransformResponse, {"remove_headers": ["server"], "add_headers": {"via": "us"}})
    for number in (1, 1, 2, 3, 4):
        head = UpstreamHead(200, None, 0, b"Server: x\r\nX-N: %d\r\n" % number)
        subject.on_response(make_exchange(response=head))
        assert head.headers == [(b"x-n", b"%d" % number), (b"via", b"us")]
        assert len(subject._changed) <= 2


def test_a_value_of_the_request_is_not_remembered_with_the_answer() -> None:
    subject = make_policy(TransformResponse, {"add_headers": {"for": "{client_ip}"}})
    for ip in ("192.0.2.1", "192.0.2.2"):
        head = UpstreamHead(200, None, 0, b"X: 1\r\n")
        subject.on_response(make_exchange(response=head, client_ip=ip))
        assert head.get(b"for") == ip.encode()
