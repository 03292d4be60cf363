"""key-auth: where keys are found, what is refused, what the upstream learns."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.exchange import Exchange, Response
from proxy.pipeline.policy import Invalid
from proxy.policies.key_auth import KeyAuth
from tests.builders import Keys, by_name, forwarded, make_exchange, make_identity, make_policy, refusal

BOB = make_identity(
    "bob", groups=("admin", "pro"), plans={"shop": "gold"}, credential_id="cred-7", app_id="app-7"
)
APIKEY = {"names": ["apikey"], "query": True}


def policy(config: dict[str, Any] | None = None, **options: Any) -> KeyAuth:
    return make_policy(KeyAuth, config, identities=Keys({b"kong": BOB}), **options)


def run(config: dict[str, Any] | None, x: Exchange) -> Response | None:
    return policy(config).on_request(x)


@pytest.mark.parametrize(
    ("config", "path", "headers", "code", "detail"),
    [
        ({}, "/", {}, "key-missing", "No API key found in request"),
        ({}, "/", {"x-api-key": ""}, "key-missing", "No API key found in request"),
        ({}, "/?x-api-key=kong", {}, "key-missing", "No API key found in request"),
        (APIKEY, "/?apikey=", {}, "key-missing", "No API key found in request"),
        (APIKEY, "/?apikey", {}, "key-missing", "No API key found in request"),
        (APIKEY, "/?apikey=kong&apikey=kong", {}, "key-duplicate", "Duplicate API key found"),
        (APIKEY, "/?apikey=kong&api%6Bey=other", {}, "key-duplicate", "Duplicate API key found"),
        (APIKEY, "/?apikey=kong", {"apikey": "kong"}, "key-duplicate", "Duplicate API key found"),
        ({}, "/", {"x-api-key": ["kong", "kong"]}, "key-duplicate", "Duplicate API key found"),
        ({"names": ["a", "b"]}, "/", {"a": "kong", "b": "other"}, "key-duplicate", "Duplicate API key found"),
        ({"bearer": True}, "/", {"x-api-key": "kong", "authorization": "Bearer kong"}, "key-duplicate", None),
        ({"header": False, "bearer": True}, "/", {"x-api-key": "kong"}, "key-missing", None),
        ({}, "/", {"authorization": "Bearer kong"}, "key-missing", None),
        ({"bearer": True}, "/", {"authorization": "Basic kong"}, "key-missing", None),
        ({"bearer": True}, "/", {"authorization": "Bearer "}, "key-missing", None),
        ({}, "/", {"x-api-key": "unknown"}, "key-invalid", "Unauthorized"),
        ({"optional": True}, "/", {"x-api-key": "unknown"}, "key-invalid", "Unauthorized"),
        ({"optional": True}, "/", {"x-api-key": ["kong", "kong"]}, "key-duplicate", None),
    ],
)
def test_refused(
    config: dict[str, Any], path: str, headers: dict[str, Any], code: str, detail: str | None
) -> None:
    x = make_exchange(path=path, headers=headers)
    answer = refusal(run(config, x))
    assert (answer.status, answer.code) == (401, code)
    assert detail in (None, answer.detail)
    assert by_name(answer.headers)["www-authenticate"][0] == "Key"
    assert x.identity is None
    assert x.plan == ""


@pytest.mark.parametrize(
    "key",
    [
        b"'",
        b'"; DROP TABLE proxy_credential;--',
        b"a\x00b",
        b"k" * 100_000,
        b"\xff\xfe",
        "schlüssel".encode(),
        b"kong ",
    ],
)
def test_hostile_keys_get_the_same_answer_as_unknown_ones(key: bytes) -> None:
    """Threats T-E10: no key makes an error, and none is answered differently."""
    usual = refusal(run({}, make_exchange(headers={"x-api-key": "unknown"})))
    answer = refusal(run({}, make_exchange(headers=[(b"x-api-key", key)])))
    for attribute in ("status", "code", "detail", "rule", "headers", "body", "close"):
        assert getattr(answer, attribute) == getattr(usual, attribute), attribute


def test_hostile_keys_in_the_query() -> None:
    for value in ("%27%20OR%201=1", "%00", "%ff%fe", "%", "%zz", "a" * 100_000):
        answer = refusal(run(APIKEY, make_exchange(path=f"/?apikey={value}")))
        assert (answer.status, answer.code) == (401, "key-invalid")


def test_overlong_keys_are_not_looked_up() -> None:
    keys = Keys()
    subject = make_policy(KeyAuth, {}, identities=keys)
    subject.on_request(make_exchange(headers={"x-api-key": "k" * 513}))
    assert keys.lookups == 0


@pytest.mark.parametrize(
    ("config", "path", "headers"),
    [
        ({}, "/", {"X-API-Key": "kong"}),
        (APIKEY, "/", {"apikey": "kong"}),
        (APIKEY, "/?apikey=kong", {}),
        (APIKEY, "/?a=b&apike%79=%6bong", {}),
        ({"names": ["X-Api-Key", "apikey"]}, "/", {"apikey": "kong"}),
        ({"bearer": True}, "/", {"authorization": "bearer kong"}),
        ({"bearer": True}, "/", {"authorization": "Basic eDp5", "x-api-key": "kong"}),
        ({"optional": True}, "/", {"x-api-key": "kong"}),
    ],
)
def test_a_valid_key_identifies(config: dict[str, Any], path: str, headers: dict[str, str]) -> None:
    x = make_exchange(path=path, headers=headers)
    assert run(config, x) is None
    assert x.identity is BOB
    assert x.plan == "gold"
    sent = forwarded(x)
    assert sent["x-consumer-id"] == ["app-7"]
    assert sent["x-consumer-username"] == ["bob"]
    assert sent["x-credential-identifier"] == ["cred-7"]
    assert sent["x-consumer-groups"] == ["admin, pro"]
    assert "x-anonymous-consumer" not in sent
    assert "kong" not in str(sent)


def test_the_request_headers_stay_as_they_came() -> None:
    x = make_exchange(headers={"x-api-key": "kong", "accept": "*/*"})
    before = list(x.headers)
    run({}, x)
    assert x.headers == before
    assert x.forward is not x.headers


def test_without_subscription_there_is_no_plan() -> None:
    x = make_exchange(headers={"x-api-key": "kong"}, api="other")
    assert run({}, x) is None
    assert x.plan == ""


def test_realm_in_the_challenge() -> None:
    answer = refusal(run({"realm": "test-realm"}, make_exchange()))
    assert by_name(answer.headers)["www-authenticate"] == ['Key realm="test-realm"']
    both = refusal(run({"realm": "shop", "bearer": True}, make_exchange()))
    assert by_name(both.headers)["www-authenticate"] == ['Key realm="shop"', 'Bearer realm="shop"']


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("c=value1&b=value2&apikey=kong&a=value3", b"c=value1&b=value2&a=value3"),
        ("apikey=kong", b""),
        ("b=%7B&&a=+x&api%6bey=kong&c=%e4", b"b=%7B&&a=+x&c=%e4"),
        ("apikey=kong&apikey=", b""),
    ],
)
def test_the_key_is_taken_out_of_the_query(query: str, sent: bytes) -> None:
    x = make_exchange(path=f"/request?{query}")
    assert run(APIKEY, x) is None
    assert x.upstream_query == sent


def test_credentials_stay_if_asked() -> None:
    config = {**APIKEY, "bearer": True, "hide_credentials": False}
    x = make_exchange(path="/request?c=1&apikey=kong")
    assert run(config, x) is None
    assert x.upstream_query is None
    x = make_exchange(headers={"apikey": "kong"})
    assert run(config, x) is None
    assert forwarded(x)["apikey"] == ["kong"]
    x = make_exchange(headers={"authorization": "Bearer kong"})
    assert run(config, x) is None
    assert forwarded(x)["authorization"] == ["Bearer kong"]


def test_only_bearer_credentials_are_hidden() -> None:
    config = {"bearer": True}
    x = make_exchange(headers={"authorization": "Bearer kong"})
    assert run(config, x) is None
    assert "authorization" not in forwarded(x)
    x = make_exchange(headers={"authorization": "Basic eDp5", "x-api-key": "kong"})
    assert run(config, x) is None
    assert forwarded(x)["authorization"] == ["Basic eDp5"]


def test_anonymous_only_without_any_key() -> None:
    x = make_exchange(headers={"accept": "*/*"})
    assert run({"optional": True}, x) is None
    assert x.identity is None
    assert forwarded(x) == {"accept": ["*/*"], "x-anonymous-consumer": ["true"]}


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "kong"}])
def test_callers_cannot_say_who_they_are(headers: dict[str, str]) -> None:
    """Threats T-B01: also where the edge had let such headers through."""
    forged = {"x-consumer-username": "root", "x-consumer-groups": "admin", "x-credential-identifier": "x"}
    x = make_exchange(headers={**headers, **forged})
    assert run({"optional": True}, x) is None
    assert "root" not in str(forwarded(x))
    assert len(forwarded(x).get("x-consumer-username", [])) == len(headers)


def test_preflight() -> None:
    assert refusal(run({}, make_exchange("OPTIONS"))).status == 401
    x = make_exchange("OPTIONS", headers={"x-api-key": "kong"})
    assert run({"run_on_preflight": False}, x) is None
    assert x.identity is None
    assert forwarded(x) == {}
    assert refusal(run({"run_on_preflight": False}, make_exchange("GET"))).status == 401


def test_names_cannot_split_headers_or_groups() -> None:
    mallory = make_identity("mal\r\nx-admin: 1\x00lory", groups=("a,admin", "ü"), credential_id="c")
    subject = make_policy(KeyAuth, {}, identities=Keys({b"k": mallory}))
    x = make_exchange(headers={"x-api-key": "k"})
    assert subject.on_request(x) is None
    headers = dict(x.forward)
    assert headers[b"x-consumer-username"] == b"malx-admin: 1lory"
    assert headers[b"x-consumer-groups"] == "a%2Cadmin, ü".encode()


def test_changed_groups_are_told_at_once() -> None:
    keys = Keys({b"k": make_identity(groups=("one",))})
    subject = make_policy(KeyAuth, {}, identities=keys)
    for groups in (("one",), ("two",), ()):
        keys.known[b"k"] = make_identity(groups=groups)
        x = make_exchange(headers={"x-api-key": "k"})
        subject.on_request(x)
        assert forwarded(x).get("x-consumer-groups", []) == list(groups)


def test_the_cache_of_consumers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.policies.key_auth._CACHE_SIZE", 3)
    keys = Keys({b"k%d" % n: make_identity(credential_id=f"c{n}") for n in range(10)})
    subject = make_policy(KeyAuth, {}, identities=keys)
    for n in range(10):
        x = make_exchange(headers=[(b"x-api-key", b"k%d" % n)])
        subject.on_request(x)
        assert forwarded(x)["x-credential-identifier"] == [f"c{n}"]
        assert len(subject._consumers) <= 3


def test_observing_identifies_and_changes_nothing() -> None:
    subject = policy(APIKEY, enforce=False)
    x = make_exchange(path="/?apikey=kong", headers={"accept": "*/*"})
    assert subject.on_request(x) is None
    assert x.identity is BOB
    assert x.forward == x.headers
    assert x.upstream_query is None


def test_without_a_store_nobody_gets_in() -> None:
    answer = refusal(make_policy(KeyAuth, {}).on_request(make_exchange(headers={"x-api-key": "kong"})))
    assert answer.status == 503


def test_a_remembered_head_is_worked_out_once_per_caller_and_looked_up_each_time() -> None:
    keys = Keys({b"k": make_identity("one", plans={"shop": "gold"}, credential_id="c1")})
    subject, memo = make_policy(KeyAuth, {}, identities=keys), {}

    def ask() -> tuple[Response | None, Exchange]:
        x = make_exchange(headers=headers, memo=memo)
        x.headers = x.forward = shared
        return subject.on_request(x), x

    headers = {"x-api-key": "k", "accept": "*/*"}
    shared = make_exchange(headers=headers).headers
    first, again = ask()[1], ask()[1]
    assert again.forward is first.forward
    assert forwarded(again) == {
        "accept": ["*/*"],
        "x-consumer-id": [again.identity.app_id],
        "x-consumer-username": ["one"],
        "x-credential-identifier": ["c1"],
    }
    keys.known[b"k"] = make_identity("two", plans={"shop": "silver"}, credential_id="c1")
    other = ask()[1]
    assert (forwarded(other)["x-consumer-username"], other.plan) == (["two"], "silver")
    del keys.known[b"k"]
    answer, refused = ask()
    assert refusal(answer).status == 401
    assert refused.identity is None and refused.forward is shared


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"names": ["a b"]}, "names[0]"),
        ({"names": ["Authorization"]}, "names[0]"),
        ({"names": ["ok", "x-consumer-id"]}, "names[1]"),
        ({"header": False}, ""),
        ({"realm": 'a"b'}, "realm"),
        ({"realm": "a\r\nb"}, "realm"),
    ],
)
def test_bad_configuration(config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        make_policy(KeyAuth, config)
    assert caught.value.field == field
