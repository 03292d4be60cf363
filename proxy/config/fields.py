"""Rules for single values. Each returns why the value is wrong, or an empty string if it is right."""

from __future__ import annotations

import ipaddress
import re

from proxy.http.path import PathError, canonical

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_PARAMETER = re.compile(r"\{([^{}]*)\}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
MAX_NAME, MAX_PATH, MAX_HEADER_VALUE, MAX_TEXT = 100, 1000, 4096, 4 * 1024 * 1024


def wrong_name(value: str) -> str:
    """Names of objects, as they stand in URLs, records and metric labels."""
    if len(value) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if not NAME.fullmatch(value):
        return "must be lower-case letters, digits, '.', '_' or '-', and begin with a letter or digit"
    return ""


def wrong_text(value: str, most: int = MAX_TEXT) -> str:
    """Text for people."""
    if len(value) > most:
        return f"is longer than {most} characters"
    return "must not hold a NUL character" if "\0" in value else ""


def wrong_host(value: str) -> str:
    """A host to match: a name, an address or `*.name`, in lower case, without port."""
    if value != value.lower():
        return "must be in lower case"
    name = value[2:] if value.startswith("*.") else value
    if "*" in name:
        return "may hold '*' only as its whole first label, as in '*.example.com'"
    return wrong_server(name, wildcard=name is not value)


def wrong_server(value: str, *, wildcard: bool = False) -> str:
    """A host name or address to connect to, without port or brackets."""
    if not value:
        return "must not be empty"
    if _is_address(value.strip("[]") if value.startswith("[") else value):
        if wildcard:
            return "an address cannot have a wildcard"
        return ""
    if ":" in value:
        return "must not hold a port"
    if len(value) > 253 or not all(
        len(label) <= 63 and _HOST_LABEL.fullmatch(label) for label in value.lower().split(".")
    ):
        return "is not a host name (for other scripts use the xn-- form)"
    return ""


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def wrong_authority(value: str) -> str:
    """A Host header: name or address, and a port if one is needed."""
    name, colon, number = value.rpartition(":")
    if not colon or name.count(":") and not name.endswith("]"):
        return wrong_server(value)
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65535:
        return "has a port that is not from 1 to 65535"
    return wrong_server(name)


def wrong_port(value: int) -> str:
    """A TCP port to connect to."""
    return "" if 1 <= value <= 65535 else "must be from 1 to 65535"


def wrong_path(value: str, *, allow_encoded: bool = False) -> str:
    """A literal path in the one canonical form that requests are matched in."""
    if len(value) > MAX_PATH:
        return f"is longer than {MAX_PATH} characters"
    if not value.startswith("/"):
        return "must start with '/'"
    if "?" in value:
        return "must not hold a query; use the query matches"
    if not value.isascii():
        return "must be ASCII; percent-encode the rest"
    found = canonical(value.encode(), allow_encoded=allow_encoded)
    if isinstance(found, PathError):
        return found.reason[:1].lower() + found.reason[1:].rstrip(".")
    if found.path != value.encode():
        return f"is not in canonical form; write {found.path.decode()!r}"
    return ""


def wrong_template(value: str, *, allow_encoded: bool = False) -> str:
    """A path with `{names}`, each a whole segment and there only once."""
    names = _PARAMETER.findall(value)
    literal = _PARAMETER.sub("x", value)
    if "{" in literal or "}" in literal:
        return "has a '{' or '}' without its counterpart"
    for name in names:
        if not _IDENTIFIER.fullmatch(name):
            return f"{{{name}}} is not a name (letters, digits, '_')"
        if names.count(name) > 1:
            return f"{{{name}}} is there twice"
    for segment in value.split("/"):
        if "{" in segment and not _PARAMETER.fullmatch(segment):
            return f"a parameter is a whole segment, which {segment!r} is not"
    return wrong_path(literal, allow_encoded=allow_encoded)


def parameters(value: str) -> list[str]:
    """The names in a template."""
    return _PARAMETER.findall(value)


def wrong_rewrite(value: str) -> str:
    """A path to send upstream, with `{names}` anywhere in it."""
    literal = _PARAMETER.sub("x", value)
    if "{" in literal or "}" in literal:
        return "has a '{' or '}' without its counterpart"
    return wrong_path(literal, allow_encoded=True)


def wrong_target(value: str) -> str:
    """A path with a query, if there is one, for a request that the gateway makes itself."""
    path, mark, query = value.partition("?")
    if mark and not re.fullmatch(r"[!$-~]*", query):
        return "has a query that holds a blank, '#', a quote or a character that is not ASCII"
    return wrong_path(path, allow_encoded=True)


def wrong_regex(value: str, most: int = MAX_PATH) -> str:
    """A regular expression of Python's `re`."""
    if len(value) > most:
        return f"is longer than {most} characters"
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    return ""


def wrong_path_regex(value: str) -> str:
    """A regular expression over the whole path, which always starts with `/`."""
    if not value.startswith("/"):
        return "must start with '/' (it is matched against the whole path)"
    return wrong_regex(value)


def wrong_token(value: str) -> str:
    """A header name or method (RFC 9110 5.6.2)."""
    if len(value) > 256:
        return "is longer than 256 characters"
    return "" if _TOKEN.fullmatch(value) else "is not a token (RFC 9110 5.6.2)"


def wrong_header_value(value: str) -> str:
    """A header value (RFC 9110 5.5)."""
    if len(value) > MAX_HEADER_VALUE:
        return f"is longer than {MAX_HEADER_VALUE} characters"
    if _CONTROL.search(value):
        return "must not hold CR, LF, NUL or another control character"
    return "" if value == value.strip() else "must not begin or end with a blank"


def wrong_network(value: str) -> str:
    """A network in CIDR form or a single address."""
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        return f"is not a network: {error}"
    return ""


def out_of(value: float, low: float, high: float) -> str:
    """A number within bounds; not-a-number is outside of all bounds."""
    return "" if low <= value <= high else f"must be from {low:g} to {high:g}"
