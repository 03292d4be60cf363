"""Which regular expressions are let in, and that those take bounded time on bad texts."""

import time

import pytest

from proxy.routing.literal import RouteError
from proxy.routing.pattern import MAX_SUBJECT, compile_safe

SAFE = [
    r"/api/v[0-9]+(/.*)?",
    r"(/[a-z]+)*",
    r"/[^/]+/[^/]+/[^/]+/x",
    r"/(\d{1,3}\.){3}\d{1,3}",
    r"(?:ab|cd)+",
    r"(foo|bar)+x",
    r"/.*a.*b",
    r"/.*a.*b.*",
    r"/(en|de|fr)(/.*)?",
    r"/[\w-]+\.(?:js|css)",
    r"(?i)/admin/[a-z]+",
    r"/(?P<year>\d{4})/(?P<slug>[^/]+)",
    r"/(?!internal)[a-z]+",
    r"/a{2,5}",
    r"[^a]*a[^a]*a[^a]*a",
]
UNSAFE = [
    r"(a+)+",
    r"(a*)*b",
    r"(a|a)*b",
    r"(a|ab)*c",
    r"(?:a|b|ab)+c",
    r"(a?b?)*c",
    r"(x+x+)+y",
    r"((a)*)*",
    r"(.*a){20}",
    r"/.*a.*b.*c",
    r"(?=(a+)+b)x",
    r"(?i)(B[a-z]+)*c",
    r"([a-z]+|[0-9]+)*x",
    r"(a)\1",
    r"(\w+\s?)*$",
    r"(?:[a-z]+)?[a-z]+[a-z]+!",
]


@pytest.mark.parametrize("text", UNSAFE)
def test_patterns_that_can_run_away_are_refused(text: str) -> None:
    with pytest.raises(RouteError) as caught:
        compile_safe("path.value", text)
    assert caught.value.field == "path.value"


@pytest.mark.parametrize("text", SAFE)
def test_patterns_that_are_let_in_take_bounded_time(text: str) -> None:
    fullmatch = compile_safe("path.value", text).fullmatch
    started = time.perf_counter()
    for unit in (b"a", b"/a", b"ab", b"foo", b"1.", b"/en", b"/"):
        fullmatch((unit * MAX_SUBJECT)[: MAX_SUBJECT - 1] + b"!")
    assert time.perf_counter() - started < 20


def test_deep_nesting_is_refused_not_a_crash() -> None:
    with pytest.raises(RouteError):
        compile_safe("path.value", "(" * 490 + "a" + ")*" * 250 + ")" * 240)
