"""Every code that the gateway answers or writes down has words for developers, and there are words for no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from consoles.portal.reasons import _BY_CODE, reason
from proxy.upstream.transport import Cause

PROXY = Path(__file__).resolve().parents[3] / "proxy"
OUTSIDE = {"models", "migrations", "management", "supervisor", "agent", "config", "demo"}
"""Parts of proxy/ that answer no client of the gateway."""
CODE = re.compile(r"[a-z]+(-[a-z]+)+")
MAKERS = {"problem": 1, "refuse": 1, "_note": 1, "shut": 3}
"""Functions that take a code, and at which place: codes of one word are only found there."""
PUT_TOGETHER = {"client-ping-timeout", "client-stalled", "upstream-ping-timeout", "upstream-stalled"}
"""WebSockets: their codes begin with the side that was silent."""


def codes_in(tree: ast.AST) -> Iterator[str]:
    """Codes that are given to a function, or assigned to something that is called `code`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from given(node)
        elif isinstance(node, ast.Assign) and "code" in ast.unparse(node.targets[0]):
            yield from (text for text in texts(node.value) if CODE.fullmatch(text))


def given(call: ast.Call) -> Iterator[str]:
    """All that look like one, and whatever is at the code's place."""
    yield from (text for one in call.args for text in texts(one, deep=False) if CODE.fullmatch(text))
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    place = MAKERS.get(name, len(call.args))
    yield from (text for one in call.args[place : place + 1] for text in texts(one, deep=False))
    yield from (text for one in call.keywords if one.arg == "code" for text in texts(one.value))


def texts(node: ast.expr, deep: bool = True) -> Iterator[str]:
    """The constant texts of an expression; not those of calls inside it unless `deep`."""
    if deep:
        parts: list[ast.AST] = list(ast.walk(node))
    else:
        parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    return (one.value for one in parts if isinstance(one, ast.Constant) and isinstance(one.value, str))


def codes() -> set[str]:
    """Of the whole request path."""
    found = {cause.value for cause in Cause} | PUT_TOGETHER
    for path in PROXY.rglob("*.py"):
        if not OUTSIDE & set(path.relative_to(PROXY).parts):
            found.update(codes_in(ast.parse(path.read_text(encoding="utf-8"))))
    return found - {""}


def test_every_code_of_the_gateway_has_words():
    found = codes()
    assert {"no-route", "draining", "unauthorized", "websocket-protocol-error", "drain-timeout"} <= found
    assert found - set(_BY_CODE) == set(), "give these words in consoles/portal/reasons.py"


def test_there_are_no_words_for_what_never_happens():
    assert set(_BY_CODE) - codes() == set()


@pytest.mark.parametrize("code", sorted(_BY_CODE))
def test_words_are_short_and_say_what_to_do(code):
    found = reason(code, 400, 1)
    assert found.words[0].isupper() and not found.words.endswith(".") and len(found.words) < 60
    assert found.advice.endswith((".", "?")) and len(found.advice) < 110


def test_a_code_of_a_policy_of_somebodys_own_is_readable():
    assert reason("quota-of-the-moon", 429, 1) == ("Quota of the moon", "")
