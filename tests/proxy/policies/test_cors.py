"""cors: which origins, what preflights and other answers say, what of the upstream's own headers stays."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.exchange import Exchange
from proxy.pipeline.policy import Invalid
from proxy.policies.cors import Cors
from tests.builders import by_name, make_exchange, make_policy, refusal, respond

FULL = {
    "origins": ["example.test"],
    "methods": ["GET"],
    "headers": ["origin", "type", "accepts"],
    "exposed_headers": ["x-auth-token"],
    "max_age": 23,
    "credentials": True,
}
TWO = {"origins": ["http://my-site.test", "http://my-other-site.test"]}
ORIGIN = "access-control-allow-origin"


def preflight(origin: str = "http://my-site.test", **headers: str) -> Exchange:
    extra = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_exchange(
        "OPTIONS", headers={"origin": origin, "access-control-request-method": "GET", **extra}
    )


def answered(config: dict[str, Any], x: Exchange) -> dict[str, list[str]]:
    answer = refusal(make_policy(Cors, config).on_request(x))
    assert (answer.status, answer.code, answer.body) == (200, "", b"")
    return by_name(answer.headers)


def seen(
    config: dict[str, Any],
    origin: str | None = "http://my-site.test",
    upstream: dict[str, str | list[str]] | None = None,
    status: int = 200,
) -> dict[str, list[str]]:
    x = make_exchange(headers={"origin": origin} if origin else {})
    subject = make_policy(Cors, config)
    assert subject.on_request(x) is None
    return respond(x, subject, status, upstream)


def test_preflight_says_all_that_is_allowed() -> None:
    assert answered(FULL, preflight("http://example.test")) == {
        "access-control-allow-methods": ["GET"],
        "access-control-allow-origin": ["example.test"],
        "access-control-max-age": ["23"],
        "access-control-allow-credentials": ["true"],
        "access-control-allow-headers": ["origin,type,accepts"],
        "vary": ["Origin"],
    }


def test_preflight_with_defaults() -> None:
    assert answered({}, preflight()) == {
        "access-control-allow-origin": ["*"],
        "access-control-allow-methods": ["GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"],
    }


def test_preflight_allows_the_headers_it_asks_for() -> None:
    headers = answered({}, preflight(access_control_request_headers="origin,accepts"))
    assert headers["access-control-allow-headers"] == ["origin,accepts"]


def test_preflight_from_elsewhere_learns_nothing() -> None:
    assert answered(TWO, preflight("http://bad-guys.test")) == {"vary": ["Origin"]}


@pytest.mark.parametrize(
    ("asked", "allowed", "told"), [("true", True, True), ("true", False, False), ("", True, False)]
)
def test_private_network(asked: str, allowed: bool, told: bool) -> None:
    headers = {"access_control_request_private_network": asked} if asked else {}
    made = answered({"private_network": allowed}, preflight(**headers))
    assert ("access-control-allow-private-network" in made) is told


def test_preflight_can_be_left_to_the_upstream() -> None:
    subject = make_policy(Cors, {**TWO, "preflight_continue": True})
    x = preflight()
    assert subject.on_request(x) is None
    headers = respond(x, subject, 204, {ORIGIN: "*", "access-control-allow-methods": "GET"})
    assert headers[ORIGIN] == ["http://my-site.test"]
    assert headers["access-control-allow-methods"] == ["GET"]


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "http://a.test"}, {"access-control-request-method": "GET"}]
)
def test_other_options_requests_go_on(headers: dict[str, str]) -> None:
    assert make_policy(Cors, {}).on_request(make_exchange("OPTIONS", headers=headers)) is None


def test_own_preflight_answer_is_not_touched_again() -> None:
    subject = make_policy(Cors, FULL)
    x = preflight()
    answer = refusal(subject.on_request(x))
    assert respond(x, subject, answer.status, answer.headers) == by_name(answer.headers)


@pytest.mark.parametrize("status", [200, 401, 404, 429, 500, 502])
def test_every_answer_has_the_headers(status: int) -> None:
    assert seen(FULL, status=status) == {
        ORIGIN: ["example.test"],
        "access-control-expose-headers": ["x-auth-token"],
        "access-control-allow-credentials": ["true"],
        "vary": ["Origin"],
    }


def test_any_origin() -> None:
    assert seen({}) == {ORIGIN: ["*"]}
    assert seen({}, None) == {ORIGIN: ["*"]}
    assert seen({"origins": ["http://a.test", "*"]}) == {ORIGIN: ["*"]}


@pytest.mark.parametrize(
    "origin",
    ["http://my-site.test.bad-guys.test", "http://bad-guys.test", "https://my-site.test", "null", None],
)
def test_origins_not_listed_get_none(origin: str | None) -> None:
    assert seen({**TWO, "credentials": True}, origin) == {"vary": ["Origin"]}


def test_what_the_upstream_allows_is_replaced() -> None:
    upstream: dict[str, str | list[str]] = {
        "Access-Control-Allow-Origin": ["*", "http://evil.test"],
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "DELETE",
        "Access-Control-Expose-Headers": "x-own",
        "content-type": "text/plain",
    }
    assert seen(TWO, "http://evil.test", upstream) == {
        "access-control-expose-headers": ["x-own"],
        "content-type": ["text/plain"],
        "vary": ["Origin"],
    }
    allowed = seen({**TWO, "exposed_headers": ["x-a", "x-b"]}, "http://my-site.test", upstream)
    assert allowed[ORIGIN] == ["http://my-site.test"]
    assert allowed["access-control-expose-headers"] == ["x-a,x-b"]
    assert "access-control-allow-credentials" not in allowed


@pytest.mark.parametrize(
    ("vary", "after"),
    [
        ("Accept-Encoding", ["Accept-Encoding", "Origin"]),
        ("accept-encoding, ORIGIN", ["accept-encoding, ORIGIN"]),
        ("*", ["*"]),
        ("X-Origin", ["X-Origin", "Origin"]),
    ],
)
def test_vary(vary: str, after: list[str]) -> None:
    assert seen(TWO, upstream={"vary": vary})["vary"] == after


REGEX = r"(.*[./])?foo\.test"


@pytest.mark.parametrize(
    ("origins", "origin", "answer"),
    [
        ([REGEX], "http://foo.test.evil.test", None),
        ([REGEX], "http://evilfoo.test", None),
        ([REGEX], "http://foobtest", None),
        ([REGEX], "http://something.foo.test", "http://something.foo.test"),
        ([REGEX], "https://foo.test:8000", "https://foo.test:8000"),
        ([REGEX], "http://foo.test:80", "http://foo.test"),
        ([REGEX], "https://foo.test:443", "https://foo.test"),
        ([REGEX], "http://foo.test\n.evil.test", None),
        ([r"https?://foo\.test(:\d+)?"], "https://foo.test:8000", "https://foo.test:8000"),
        ([r"https?://foo\.test(:\d+)?"], "ftp://foo.test", None),
        ([r"https?://foo\.test"], "http://foo.test/evil", None),
        ([r"(?:a|b)\.test"], "http://a.test:81", "http://a.test:81"),
        ([r"a\.test|b\.test"], "http://a.test.evil", None),
        (["https://*.shop.example"], "https://a.shop.example", "https://a.shop.example"),
        (["https://*.shop.example"], "https://a.b.shop.example", "https://a.b.shop.example"),
        (["https://*.shop.example"], "https://shop.example", None),
        (["https://*.shop.example"], "https://evilshop.example", None),
        (["https://*.shop.example"], "https://ashop.example", None),
        (["https://*.shop.example"], "http://a.shop.example", None),
        (["https://*.shop.example"], "https://evil.test/.shop.example", None),
        (["https://*.shop.example"], "https://evil.test#.shop.example", None),
        (["https://*.shop.example"], "https://a.shop.example:8443", None),
        (["https://*.shop.example:8443"], "https://a.shop.example:8443", "https://a.shop.example:8443"),
        (["*.shop.example"], "http://a.shop.example:81", "http://a.shop.example:81"),
        (["*.shop.example:81"], "http://a.shop.example:81", "http://a.shop.example:81"),
        (["*.shop.example:81"], "http://a.shop.example", None),
        (["foo.test", "bar.test"], "https://bar.test:444", "https://bar.test:444"),
        (["foo.test", "bar.test"], "https://x.bar.test", None),
        (["foo.test", "bar.test:444"], "https://bar.test:444", "https://bar.test:444"),
        (["foo.test", "bar.test:444"], "https://bar.test", None),
        (["http://foo.test:80", "http://bar.test"], "http://foo.test", "http://foo.test"),
        (["http://FOO.test", "http://bar.test"], "http://foo.test", "http://foo.test"),
        (["http://[::1]:3000", "http://bar.test"], "http://[::1]:3000", "http://[::1]:3000"),
        (["http://[::1]:3000", "http://bar.test"], "http://1:3000", None),
        (["null", "http://bar.test"], "null", "null"),
        (["http://only.test"], "http://other.test", "http://only.test"),
    ],
)
def test_origins(origins: list[str], origin: str, answer: str | None) -> None:
    assert seen({"origins": origins}, origin).get(ORIGIN, [None])[0] == answer


def test_answers_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.policies.cors._CACHE_SIZE", 4)
    subject = make_policy(Cors, {"origins": [r"https://.*\.test"]})
    for number in range(20):
        headers = respond(make_exchange(headers={"origin": f"https://a{number}.test"}), subject)
        assert headers[ORIGIN] == [f"https://a{number}.test"]
        assert len(subject._answers) <= 4


def test_observing_changes_nothing() -> None:
    subject = make_policy(Cors, FULL, enforce=False)
    assert respond(make_exchange(), subject, 200, {ORIGIN: "http://own.test"}) == {
        ORIGIN: ["http://own.test"]
    }


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"origins": ["*"], "credentials": True}, "origins[0]"),
        ({"origins": ["http://a.test", "null"], "credentials": True}, "origins[1]"),
        ({"origins": ["http://a.test", "(unclosed"]}, "origins[1]"),
        ({"origins": ["https://münchen.test"]}, "origins[0]"),
        ({"methods": ["GET", "A B"]}, "methods[1]"),
        ({"headers": ["x\r\ny"]}, "headers[0]"),
        ({"exposed_headers": [""]}, "exposed_headers[0]"),
        ({"max_age": -1}, "max_age"),
    ],
)
def test_bad_configuration(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        make_policy(Cors, config)
    assert caught.value.field == field
