"""Rules for single values. Each returns why the value is wrong, or an empty string if it is right."""

from __future__ import annotations

import ipaddress
import re

from proxy.http.path import PathError, canonical

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+([/?#][A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*)?")
_PARAMETER = re.compile(r"\{[^{}]*\}")
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
    """A host to match: a name, an address (IPv6 in brackets) or `*.name`, in lower case, without port."""
    if value != value.lower():
        return "must be in lower case"
    name = value.removeprefix("*.")
    if "*" in name:
        return (
            "may hold '*' only as its whole first label, as in '*.example.com'; leave the list empty for any"
        )
    if name.startswith("[") and name.endswith("]"):
        return "" if _is_address(name[1:-1]) and name == value else "is not an address"
    if ":" in name:
        return "must not hold a port; an IPv6 address is in brackets"
    return wrong_server(name)


def wrong_optional_server(value: str) -> str:
    """As `wrong_server`, or nothing at all."""
    return wrong_server(value.removeprefix("[").removesuffix("]")) if value else ""


def wrong_server(value: str) -> str:
    """A host name or address to connect to, without port or brackets."""
    if not value:
        return "must not be empty"
    if value.startswith("["):
        return "write the address without brackets"
    if _is_address(value):
        return ""
    if ":" in value:
        return "must not hold a port"
    labels = value.lower().split(".")
    if len(value) > 253 or not all(len(label) <= 63 and _HOST_LABEL.fullmatch(label) for label in labels):
        return "is not a host name (for other scripts use the xn-- form)"
    if labels[-1].isdigit():
        return "is not an address"
    return ""


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def wrong_authority(value: str) -> str:
    """A Host header: name or address (IPv6 in brackets), and a port if one is needed."""
    if not value:
        return "must not be empty"
    name, colon, number = value.rpartition(":")
    if not colon or value.endswith("]"):
        return wrong_optional_server(value)
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65535:
        return "has a port that is not from 1 to 65535"
    if ":" in name and not name.startswith("["):
        return "an IPv6 address is in brackets"
    return wrong_optional_server(name)


def wrong_port(value: int) -> str:
    """A TCP port to connect to."""
    return "" if 1 <= value <= 65535 else "must be from 1 to 65535"


def wrong_optional_url(value: str) -> str:
    """The address of a page, as it may stand between `<` and `>` (RFC 8288), or nothing at all."""
    if not value:
        return ""
    if len(value) > MAX_PATH:
        return f"is longer than {MAX_PATH} characters"
    if not _URL.fullmatch(value):
        return "must begin with https:// or http:// and have blanks, quotes and the like percent-encoded"
    return ""


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
    """A path with `{names}` that routing can read already: is what stands around them canonical?"""
    return wrong_path(_PARAMETER.sub("x", value), allow_encoded=allow_encoded)


def wrong_target(value: str) -> str:
    """A path with a query, if there is one, for a request that the gateway makes itself."""
    path, mark, query = value.partition("?")
    if mark and not re.fullmatch(r"[!$-~]*", query):
        return "has a query that holds a blank, '#', a quote or a character that is not ASCII"
    return wrong_path(path, allow_encoded=True)


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
