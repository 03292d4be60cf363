"""request-termination: forms of the answer, and the trigger."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.exchange import Response
from proxy.pipeline.policy import Invalid
from proxy.policies.request_termination import RequestTermination
from tests.builders import by_name, make_exchange, make_policy, refusal


def answer(config: dict[str, Any], path: str = "/", headers: dict[str, str] | None = None) -> Response | None:
    result = make_policy(RequestTermination, config).on_request(make_exchange(path=path, headers=headers))
    assert result is None or isinstance(result, Response)
    return result


@pytest.mark.parametrize(
    ("config", "status", "detail"),
    [
        ({}, 503, "Service unavailable"),
        ({"status": 404}, 404, "Not found"),
        ({"status": 406, "message": "Invalid"}, 406, "Invalid"),
        ({"status": 599}, 599, "Request terminated"),
    ],
)
def test_problem(config: dict[str, Any], status: int, detail: str) -> None:
    refused = refusal(answer(config))
    assert (refused.status, refused.code, refused.detail) == (status, "request-terminated", detail)
    assert refused.headers == []


@pytest.mark.parametrize(
    ("config", "status", "message"),
    [
        ({"status": 404, "format": "message"}, 404, "Not found"),
        ({"status": 406, "message": 'In"valid', "format": "message"}, 406, 'In"valid'),
        ({"status": 200, "message": "Hello"}, 200, "Hello"),
    ],
)
def test_message(config: dict[str, Any], status: int, message: str) -> None:
    made = refusal(answer(config))
    assert (made.status, made.code) == (status, "")
    assert json.loads(made.body) == {"message": message}
    assert by_name(made.headers)["content-type"] == ["application/json"]


def test_body() -> None:
    made = refusal(
        answer({"status": 200, "body": "<h1>grüß</h1>", "content_type": "text/html; charset=utf-8"})
    )
    assert (made.status, made.code, made.body) == (200, "", "<h1>grüß</h1>".encode())
    assert by_name(made.headers) == {"content-type": ["text/html; charset=utf-8"]}


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_body(status: int) -> None:
    made = refusal(answer({"status": status}))
    assert (made.status, made.code, made.body, made.headers) == (status, "", b"", [])


def test_retry_after() -> None:
    made = refusal(answer({"retry_after": 120}))
    assert by_name(made.headers) == {"retry-after": ["120"]}


@pytest.mark.parametrize(
    ("path", "headers", "terminated"),
    [
        ("/", {}, False),
        ("/gimme-an-echo", {"other": "gimme-an-echo"}, False),
        ("/", {"Gimme-An-Echo": "x"}, True),
        ("/", {"gimme-an-echo": ""}, True),
        ("/?gimme-an-echo", {}, True),
        ("/?a=b&gimme%2Dan%2decho=1", {}, True),
        ("/?a=gimme-an-echo", {}, False),
    ],
)
def test_trigger(path: str, headers: dict[str, str], terminated: bool) -> None:
    assert (answer({"trigger": "gimme-an-echo"}, path, headers) is not None) is terminated


def test_answers_do_not_share_their_headers() -> None:
    subject = make_policy(RequestTermination, {"retry_after": 1})
    first = refusal(subject.on_request(make_exchange()))
    first.headers.append((b"x", b"y"))
    assert len(refusal(subject.on_request(make_exchange())).headers) == 1


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"message": "a", "body": "b"}, "body"),
        ({"status": 204, "message": "a"}, "status"),
        ({"status": 304, "body": "a"}, "status"),
        ({"body": "a", "content_type": "text/html\r\nx: y"}, "content_type"),
        ({"body": "a", "content_type": ""}, "content_type"),
        ({"trigger": "a b"}, "trigger"),
    ],
)
def test_bad_configuration(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        make_policy(RequestTermination, config)
    assert caught.value.field == field
