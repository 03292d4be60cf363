"""transform-request: headers, query, method and host on their way to the upstream."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.exchange import Exchange
from proxy.pipeline.policy import Invalid
from proxy.policies.transform_request import TransformRequest
from tests.builders import forwarded, make_exchange, make_identity, make_policy, refusal


def transform(config: dict[str, Any], x: Exchange) -> Exchange:
    before = list(x.headers)
    assert make_policy(TransformRequest, config).on_request(x) is None
    assert x.headers == before
    return x


@pytest.mark.parametrize(
    ("config", "headers", "sent"),
    [
        ({"remove_headers": ["X-A"]}, {"x-a": ["1", "2"], "x-b": "3"}, {"x-b": ["3"]}),
        ({"rename_headers": {"h1": "h2"}}, {"h1": ["a", "b"]}, {"h2": ["a", "b"]}),
        ({"rename_headers": {"h1": "h2"}}, {"h1": "a", "h2": "old"}, {"h2": ["a"]}),
        ({"rename_headers": {"h1": "h2"}}, {"h2": "stays"}, {"h2": ["stays"]}),
        ({"rename_headers": {"h1": "h1"}}, {"h1": "a"}, {"h1": ["a"]}),
        ({"rename_headers": {"h1": "H1"}}, {"h1": "a"}, {"h1": ["a"]}),
        ({"replace_headers": {"h1": "v1"}}, {"h1": ["x", "y"], "h2": "z"}, {"h1": ["v1"], "h2": ["z"]}),
        ({"replace_headers": {"h1": "v1"}}, {"h2": "z"}, {"h2": ["z"]}),
        ({"add_headers": {"h1": "v1", "h2": "value:2"}}, {}, {"h1": ["v1"], "h2": ["value:2"]}),
        ({"add_headers": {"h1": "v1"}}, {"h1": "old"}, {"h1": ["old"]}),
        ({"append_headers": {"h1": ["v1", "v2"]}}, {"h1": "old"}, {"h1": ["old", "v1", "v2"]}),
        (
            {
                "append_headers": {"d": ["appended"]},
                "add_headers": {"a": "added", "c": "added"},
                "replace_headers": {"b": "replaced"},
                "rename_headers": {"x": "b"},
                "remove_headers": ["a"],
            },
            {"a": "1", "x": "2", "c": "3"},
            {"b": ["replaced"], "c": ["3"], "a": ["added"], "d": ["appended"]},
        ),
    ],
)
def test_headers(config: dict[str, Any], headers: dict[str, Any], sent: dict[str, list[str]]) -> None:
    assert forwarded(transform(config, make_exchange(headers=headers))) == sent


@pytest.mark.parametrize(
    ("config", "query", "sent"),
    [
        ({"remove_query": ["q1"]}, "q1=v1&q2=v2", b"q2=v2"),
        ({"remove_query": ["q1"]}, "q%31=v1&q2=%7B&&q1", b"q2=%7B&"),
        ({"remove_query": ["a b"]}, "a+b=1&a%20b=2&ab=3", b"ab=3"),
        ({"rename_query": {"q1": "ä"}}, "x=%7e&q1=%20+&q1", b"x=%7e&%C3%A4=%20+&%C3%A4"),
        ({"rename_query": {"q1": "q2"}}, "q2=b&q1=a", b"q2=a"),
        ({"replace_query": {"q1": "new&x=1"}}, "q1=v1&q1=v2&q2=v", b"q1=new%26x%3D1&q2=v"),
        ({"replace_query": {"q1": "new"}}, "q2=v", b"q2=v"),
        ({"add_query": {"q1": "v 1"}}, "", b"q1=v%201"),
        ({"add_query": {"q1": "v1"}}, "q1=", b"q1="),
        ({"append_query": {"q1": ["v1", "v2"]}}, "", b"q1=v1&q1=v2"),
        ({"append_query": {"q1": ["v1", "v2"]}}, "a=%2f", b"a=%2f&q1=v1&q1=v2"),
    ],
)
def test_query(config: dict[str, Any], query: str, sent: bytes) -> None:
    x = transform(config, make_exchange(path=f"/request?{query}"))
    assert x.upstream_query == sent
    assert x.query == query.encode()


def test_query_goes_on_from_what_others_made_of_it() -> None:
    x = transform({"add_query": {"b": "2"}}, make_exchange(path="/?key=secret&a=1", upstream_query=b"a=1"))
    assert x.upstream_query == b"a=1&b=2"


def test_untouched_query_stays_none() -> None:
    assert transform({"remove_headers": ["x"]}, make_exchange(path="/?a=1")).upstream_query is None


def test_method_and_host() -> None:
    x = transform(
        {"method": "POST", "host": "inventory.internal:8080"}, make_exchange(path="/request?hello=world")
    )
    assert (x.method, x.upstream_method) == (b"GET", b"POST")
    assert x.host_header == b"inventory.internal:8080"
    assert x.upstream_query is None
    assert transform({"method": "POST"}, make_exchange("HEAD")).upstream_method == b""


def test_templates() -> None:
    config = {
        "add_headers": {
            "x-all": "{client_ip} {consumer} {request_id} {route} {api} {host} {path}",
            "x-user": "{params.user}",
            "x-literal": "{{client_ip}}",
        },
        "add_query": {"uri_param1": "{params.user}", "path": "{path}"},
    }
    x = make_exchange(path="/requests/a%2Fb?q1=20", identity=make_identity("bob"), params={"user": "a%2Fb"})
    transform(config, x)
    assert forwarded(x)["x-all"] == [
        "127.0.0.1 bob 0123456789abcdef shop-products shop api.example.test /requests/a%2Fb"
    ]
    assert forwarded(x)["x-user"] == ["a/b"]
    assert forwarded(x)["x-literal"] == ["{client_ip}"]
    assert x.upstream_query == b"q1=20&uri_param1=a%2Fb&path=%2Frequests%2Fa%252Fb"


def test_what_is_not_there_is_empty() -> None:
    x = transform({"add_headers": {"x-a": "<{consumer}{params.none}>"}}, make_exchange())
    assert forwarded(x)["x-a"] == ["<>"]


@pytest.mark.parametrize(
    ("template", "attributes"),
    [
        ("{params.user}", {"params": {"user": "a%0D%0AX-Admin:%201"}}),
        ("{params.user}", {"params": {"user": "a\r\nx: y"}}),
        ("{params.user}", {"params": {"user": "a%00"}}),
        ("x{consumer}", {"identity": make_identity("bob\nx: y")}),
    ],
)
def test_unsafe_values_are_refused_and_nothing_is_changed(template: str, attributes: dict[str, Any]) -> None:
    """Threats T-A27."""
    x = make_exchange(path="/?a=1", headers={"x-b": "1"}, **attributes)
    config = {"remove_headers": ["x-b"], "append_headers": {"x-a": [template]}, "method": "PUT"}
    answer = refusal(make_policy(TransformRequest, config).on_request(x))
    assert (answer.status, answer.code) == (500, "transform-unsafe-value")
    assert forwarded(x) == {"x-b": ["1"]}
    assert x.upstream_method == b""
    query = refusal(make_policy(TransformRequest, {"add_query": {"q": template}}).on_request(x))
    assert query.code == "transform-unsafe-value"
    assert x.upstream_query is None


def test_observing_only_notes() -> None:
    subject = make_policy(TransformRequest, {"add_headers": {"x-a": "1"}, "method": "PUT"}, enforce=False)
    x = make_exchange(path="/?a=1", observed="other")
    assert subject.on_request(x) is None
    assert x.observed == "other,transform-request"
    assert (x.forward, x.upstream_method, x.upstream_query) == ([], b"", None)


RESERVED = [
    *("Connection", "content-length", "Transfer-Encoding", "host", "te", "upgrade", "trailer", "keep-alive"),
    *("proxy-connection", "expect", "http2-settings", "content_length", "Transfer_Encoding"),
]
OWNED = [
    *(
        "x-consumer-id",
        "X-Consumer-Groups",
        "x_consumer_id",
        "X-Consumer_Username",
        "x-credential-identifier",
    ),
    *(
        "x-anonymous-consumer",
        "x-authenticated-groups",
        "x-gateway-secret",
        "x-forwarded-for",
        "x_forwarded_for",
    ),
    *("forwarded", "x-real-ip", "x-request-id", "traceparent"),
]


@pytest.mark.parametrize("name", [*RESERVED, *OWNED, "", "a b", "a:b", "a\r\nb", "ä"])
def test_headers_that_cannot_be_set(name: str) -> None:
    for config in (
        {"rename_headers": {"x-a": name}},
        {"replace_headers": {name: "v"}},
        {"add_headers": {name: "v"}},
        {"append_headers": {name: ["v"]}},
    ):
        with pytest.raises(Invalid) as caught:
            make_policy(TransformRequest, config)
        assert caught.value.field.startswith(next(iter(config)))


def test_identity_headers_can_be_taken_away_but_not_the_transports() -> None:
    x = transform({"remove_headers": ["x-consumer-id"]}, make_exchange(headers={"x-consumer-id": "7"}))
    assert forwarded(x) == {}
    for name in RESERVED:
        with pytest.raises(Invalid):
            make_policy(TransformRequest, {"remove_headers": [name]})


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, ""),
        ({"add_headers": {"x-a": "a\r\nb: c"}}, "add_headers.x-a"),
        ({"add_headers": {"x-a": "a\x00"}}, "add_headers.x-a"),
        ({"add_query": {"q": "a\nb"}}, "add_query.q"),
        ({"add_query": {"": "a"}}, "add_query."),
        ({"append_headers": {"x-a": ["ok", "{nope}"]}}, "append_headers.x-a"),
        ({"add_headers": {"x-a": "{params.}"}}, "add_headers.x-a"),
        ({"add_headers": {"x-a": "{x.__class__}"}}, "add_headers.x-a"),
        ({"add_headers": {"x-a": "{client_ip"}}, "add_headers.x-a"),
        ({"add_headers": {"x-a": "client_ip}"}}, "add_headers.x-a"),
        ({"add_headers": {"x-a": "{}"}}, "add_headers.x-a"),
        ({"method": "post"}, "method"),
        ({"method": "CONNECT"}, "method"),
        ({"method": "HEAD"}, "method"),
        ({"method": "GET /x"}, "method"),
        ({"host": "a b"}, "host"),
        ({"host": "a\r\nx: y"}, "host"),
        ({"host": "a/b"}, "host"),
    ],
)
def test_bad_configuration(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        make_policy(TransformRequest, config)
    assert caught.value.field == field


def test_a_remembered_head_is_changed_once_per_caller() -> None:
    subject = make_policy(TransformRequest, {"add_headers": {"who": "{consumer}", "at": "{path}"}})
    memo: dict[object, Any] = {}
    headers = make_exchange(headers={"a": "1"}).headers

    def ask(identity: Any, lines: Any = headers) -> Exchange:
        x = make_exchange(path="/p", identity=identity, memo=memo)
        x.headers = x.forward = lines
        assert subject.on_request(x) is None
        return x

    one, two = make_identity("one"), make_identity("two")
    first = ask(one)
    assert ask(one).forward is first.forward
    assert forwarded(first) == {"a": ["1"], "who": ["one"], "at": ["/p"]}
    assert forwarded(ask(two))["who"] == ["two"]
    assert forwarded(ask(two, [(b"b", b"2")])) == {"b": ["2"], "who": ["two"], "at": ["/p"]}
    assert headers == [(b"a", b"1")], "what the client sent stays"


@pytest.mark.parametrize("value", ["{client_ip}", "{request_id}"])
def test_what_differs_from_request_to_request_is_never_remembered(value: str) -> None:
    subject = make_policy(TransformRequest, {"add_headers": {"h": value}})
    memo: dict[object, Any] = {}
    headers = make_exchange().headers
    for number in (1, 2):
        x = make_exchange(client_ip=f"192.0.2.{number}", memo=memo, request_id=b"%d" % number)
        x.headers = x.forward = headers
        assert subject.on_request(x) is None
        assert forwarded(x)["h"] in ([f"192.0.2.{number}"], [str(number)])
    assert memo == {}
