"""Header and query conditions of a Route, compiled into one test that runs only where there are any."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from proxy.config.snapshot import Route, ValueMatch
from proxy.routing.literal import RouteError
from proxy.routing.pattern import MAX_SUBJECT, compile_safe

Header = tuple[bytes, bytes]
Test = Callable[[Sequence[Header], bytes], bool]
Check = Callable[[bytes | None], bool]
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def compile_test(config: Route) -> Test | None:
    """`test(headers, query)`, None if the Route asks for neither. Raises RouteError."""
    headers = [(_header_name(row), compile_check("headers", row)) for row in config.headers]
    query = [(row.name.encode(), compile_check("query", row)) for row in config.query]
    if any(not name for name, _ in query):
        raise RouteError("query", "a condition needs the name of a parameter")
    if not headers and not query:
        return None

    def test(lines: Sequence[Header], raw_query: bytes) -> bool:
        for name, check in headers:
            if not check(joined(lines, name)):
                return False
        if query:
            values = first_values(raw_query)
            for name, check in query:
                if not check(values.get(name)):
                    return False
        return True

    return test


def compile_check(field: str, row: ValueMatch) -> Check:
    """The check of one value, None standing for a header or parameter that is not there."""
    if row.kind == "present":
        return _present
    if row.kind == "regex":
        fullmatch = compile_safe(field, row.value).fullmatch
        return lambda value: value is not None and len(value) <= MAX_SUBJECT and fullmatch(value) is not None
    expected = row.value.encode()
    return lambda value: value == expected


def joined(lines: Sequence[Header], name: bytes) -> bytes | None:
    """The value of a header, several lines joined as RFC 9110 5.3 says; None if it is not there."""
    values = [value for key, value in lines if key == name]
    if not values:
        return None
    return values[0] if len(values) == 1 else b", ".join(values)


@lru_cache(maxsize=4)
def first_values(query: bytes) -> dict[bytes, bytes]:
    """The first value of every parameter, percent-decoded, `+` as a space, split at `&` only.

    Remembers the last few queries because all candidates of one request ask for the same.
    """
    found: dict[bytes, bytes] = {}
    for pair in query.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            found.setdefault(_decoded(name), _decoded(value))
    return found


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text


def _present(value: bytes | None) -> bool:
    return value is not None


def _header_name(row: ValueMatch) -> bytes:
    if not _TOKEN.fullmatch(row.name):
        raise RouteError("headers", f"{row.name!r} is not a header name")
    return row.name.lower().encode("ascii")
