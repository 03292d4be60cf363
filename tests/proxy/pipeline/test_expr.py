"""Conditions: what they can ask, what is refused at publish, and that a failure lets the policy run."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from proxy.exchange import Exchange
from proxy.pipeline.expr import VARIABLES, Condition, Term, compile_condition
from proxy.pipeline.policy import Invalid
from tests.builders import make_exchange, make_identity


def request() -> Exchange:
    return make_exchange(
        "POST",
        "/v1/orders/a%20b?page=2&q=caf%C3%A9+noir&page=3&flag",
        {"X-Tenant": "eu-1", "X-Role": ["user", "admin"], "content-type": "application/json"},
        client_ip="192.0.2.7",
        identity=make_identity("bob", groups=("gold", "beta")),
        plan="premium",
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("true", True),
        ("false", False),
        ('request.method == "POST"', True),
        ("request.method == 'GET'", False),
        ('request.method in ["GET", "POST"]', True),
        ('request.method in ["GET", "PUT",]', False),
        ("request.method in []", False),
        ('request.path == "/v1/orders/a%20b"', True),
        ('request.path.startsWith("/v1/")', True),
        ('request.path.endsWith("b") && request.path.contains("orders")', True),
        ('request.path.matches("^/v[0-9]+/")', True),
        ('request.path.matches("^/v[0-9]+$")', False),
        (r'request.path.matches("\\d/o")', True),
        ('request.host == "api.example.test"', True),
        ('request.headers["x-tenant"] == "eu-1"', True),
        ('request.headers["X-Tenant"].startsWith("eu-")', True),
        ('request.headers.host == ""', True),
        ('request.headers["x-role"] == "user, admin"', True),
        ('request.headers["x-role"].contains("admin")', True),
        ('"x-tenant" in request.headers', True),
        ('"X-TENANT" in request.headers', True),
        ('"x-none" in request.headers', False),
        ('request.headers["x-none"] == ""', True),
        ('request.query["page"] == "2"', True),
        ('request.query.page == "2"', True),
        ('request.query["q"] == "café noir"', True),
        ('"flag" in request.query && request.query["flag"] == ""', True),
        ('"nope" in request.query', False),
        ('client_ip == "192.0.2.7"', True),
        ('consumer == "bob"', True),
        ('"gold" in groups', True),
        ('"silver" in groups', False),
        ("groups.size() == 2 && size(groups) >= 2", True),
        ("size(consumer) < 4", True),
        ('plan == "premium" && api == "shop" && route == "shop-products"', True),
        ("plan != api", True),
        ("consumer in groups", False),
        ("!true", False),
        ("!!true", True),
        ('!("gold" in groups)', False),
        ("!(plan == 'x') && !(plan == 'y')", True),
        ("true || false && false", True),
        ("(true || false) && false", False),
        ("false || false || true", True),
        ("true && true && false", False),
        ("true != false", True),
        ('"a" < "b" && 2 <= 2 && 3 > 2', True),
        ("'it\\'s' == \"it's\"", True),
        ('"a\\n" == "a\\t"', False),
        ("  ( true )\n", True),
    ],
)
def test_answers(text: str, answer: bool) -> None:
    assert compile_condition(text)(request()) is answer


def test_before_anybody_is_identified() -> None:
    x = make_exchange(route="r")
    x.route = None
    assert compile_condition('consumer == "" && size(groups) == 0 && plan == "" && api == "" && route == ""')(
        x
    )
    assert not compile_condition('"a" in request.query || request.query["a"] != ""')(x)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing at the end"),
        ("   ", "missing at the end"),
        ("request.metod == 'a'", "there is no 'request.metod'"),
        ("nobody == 'a'", "there is no 'nobody'"),
        ("__import__('os')", "there is no '__import__'"),
        ("request", "'.' is missing"),
        ("request.method", "a condition is true or false, this is a string"),
        ("1", "this is a int"),
        ("request.method == 1", "a string and a int cannot be compared"),
        ("groups == groups", "cannot be compared"),
        ("true < false", "cannot be compared"),
        ("request.method && true", "true or false is needed"),
        ("true || 1", "true or false is needed"),
        ("!consumer", "true or false is needed"),
        ("1 in groups", "only a string"),
        ("'a' in consumer", "nothing is in a string"),
        ("consumer in request.headers", "in quotes"),
        ("request.headers[consumer] == ''", "in quotes"),
        ("consumer.upper() == 'A'", "no method 'upper'"),
        ("consumer.__class__ == 'A'", "has no '__class__'"),
        ("groups.contains('a')", "no method 'contains'"),
        ("consumer.contains(1)", "takes a string"),
        ("consumer.matches(plan)", "in quotes"),
        ("consumer.matches('(')", "not a regular expression"),
        ("size(1) == 1", "has no size"),
        ("'a", "was not expected"),
        ("'a' == 'b' 'c'", "was not expected"),
        ("true &", "was not expected"),
        ("true = true", "was not expected"),
        ("true and true", "was not expected"),
        ("(true", "')' is missing"),
        ("true)", "was not expected"),
        ("['a' 'b'] == []", "']' is missing"),
        ("consumer in [plan]", "strings in quotes"),
        ("'\\d' == 'd'", "no escape"),
        ("[[[", "strings in quotes"),
        ("(" * 100 + "true" + ")" * 100, "too deeply nested"),
        ("true" + " || true" * 500, "at most 2000 characters"),
        ("consumer == 'a\x00' ;", "was not expected"),
    ],
)
def test_refused_at_publish(text: str, reason: str) -> None:
    with pytest.raises(Invalid, match="(?i)" + _escaped(reason)) as caught:
        compile_condition(text)
    assert caught.value.field == "when"


def _escaped(text: str) -> str:
    return "".join(f"[{char}]" if char in "()[].'," else char for char in text)


def test_the_message_says_where() -> None:
    with pytest.raises(Invalid, match="At character 17"):
        compile_condition('consumer == "a" &')


def test_a_failure_lets_the_policy_run_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(x: Exchange) -> Any:
        raise KeyError("gone")

    monkeypatch.setitem(VARIABLES, "plan", Term("string", broken))
    condition = compile_condition('plan == "free"')
    before = Condition.failures
    assert condition(make_exchange()) is True
    assert Condition.failures == before + 1


def test_the_longest_chain_can_be_evaluated() -> None:
    text = "true" + "&&true" * 332
    assert compile_condition(text)(make_exchange()) is True
    assert compile_condition("!" * 1990 + "true")(make_exchange()) is True


def test_hostile_requests_do_not_make_it_fail() -> None:
    text = 'request.headers["x"] == "a" || request.query["q"] == "a" || request.path.contains("zzz") || false'
    condition, before = compile_condition(text), Condition.failures
    for raw in (b"\xff\xfe", b"%", b"%zz=%", b"=&=&&", b"q" * 10_000, "é".encode()):
        x = make_exchange(headers=[(b"x", raw)], path="/" + raw.decode("latin-1"), query=raw)
        assert condition(x) is False
    assert Condition.failures == before


def test_repr_shows_the_text() -> None:
    assert repr(compile_condition("true")) == "Condition('true')"


def test_loading_it_is_cheap() -> None:
    """No expression engine is loaded with it (a worker at rest stays small)."""
    code = "import sys, proxy.pipeline.expr; print('cel' in sys.modules, 'django' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == ["False", "False"]
