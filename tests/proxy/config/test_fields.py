"""Rules for single values."""

import pytest

from proxy.config import fields

GOOD = {
    fields.wrong_name: ["a", "0", "a.b_c-d", "x" * 100],
    fields.wrong_host: ["a", "example.com", "*.example.com", "10.0.0.1", "[::1]", "xn--bcher-kva.de", "_a.b"],
    fields.wrong_server: ["localhost", "10.0.0.1", "::1", "service_1.internal", "A.example"],
    fields.wrong_authority: ["a", "a:1", "[::1]", "[::1]:65535", "10.0.0.1:80"],
    fields.wrong_path: ["/", "/a", "/a/", "/a-b/c.d", "/%C3%BC", "/a;b=c"],
    fields.wrong_target: ["/", "/health?deep=1&x=%20"],
    fields.wrong_token: ["x-a", "GET", "!#$%&'*+-.^_`|~"],
    fields.wrong_header_value: ["", "a b", "a\tb", "ü"],
    fields.wrong_optional_url: ["", "https://a.example", "http://[::1]:8/a/b?c=%20&d=e#f", "https://a/?q"],
    fields.wrong_network: ["10.0.0.0/8", "10.0.0.1", "2001:db8::/32"],
}
BAD = {
    fields.wrong_name: ["", "A", "-a", ".a", "a b", "a\n", "ä", "x" * 101, "a/b"],
    fields.wrong_host: [
        "",
        "A.com",
        "a:80",
        "*",
        "a.*.b",
        "*a.b",
        "**.a",
        "a..b",
        "-a",
        "a b",
        "[::1]:80",
        "::1",
        "*.10.0.0.1/8",
        "a/b",
        "ü.de",
        "x" * 64,
        "[::g]",
        "*.[::1]",
        "a\n",
        "1.2.3",
        "a.",
    ],
    fields.wrong_optional_url: [
        "a.example",
        "/docs",
        "ftp://a",
        "https://",
        "https://a/<b>",
        "https://a/{id}",
        'https://a/"',
        "https://a/ b",
        "https://a/b\n",
        "https://u:p@a/",
        "javascript:alert(1)",
        "https://a/" + "x" * 1000,
    ],
    fields.wrong_server: ["", "a:80", "[::1]", "a b", "a/b", "fe80::1%eth0", "user@a", "999.1.1.1"],
    fields.wrong_authority: ["", "a:0", "a:65536", "a:x", "::1:80", "a:", "a\r\nb"],
    fields.wrong_path: [
        "",
        "a",
        "//",
        "/a//b",
        "/a/../b",
        "/./a",
        "/a?b",
        "/a#b",
        "/a b",
        "/%2e%2e/a",
        "/%41",
        "/%",
        "/%zz",
        "/a\\b",
        "/a\r\n",
        "/a\x00",
        "/ü",
        "/%2F",
        "/%00",
        "/" + "a" * 1001,
    ],
    fields.wrong_target: ["health", "/h?a b", "/h?x#y", "/../h"],
    fields.wrong_token: ["", "a b", "a:", "ü", "a\r\n", "a" * 257],
    fields.wrong_header_value: ["a\r\nb", "a\nb", "a\0b", " a", "a ", "\x7f", "x" * 5000],
    fields.wrong_network: ["", "10.0.0.0/33", "10.0.0.1/8", "localhost"],
}


@pytest.mark.parametrize(
    ("rule", "value"), [(rule, value) for rule, values in GOOD.items() for value in values]
)
def test_right(rule, value):
    assert rule(value) == ""


@pytest.mark.parametrize(
    ("rule", "value"), [(rule, value) for rule, values in BAD.items() for value in values]
)
def test_wrong(rule, value):
    assert rule(value)


def test_a_path_that_is_not_canonical_is_told_what_to_write():
    assert fields.wrong_path("/a/%41") == "is not in canonical form; write '/a/A'"


def test_an_escape_that_servers_read_differently_needs_permission():
    assert fields.wrong_path("/a%2Fb")
    assert fields.wrong_path("/a%2Fb", allow_encoded=True) == ""


def test_numbers():
    assert fields.out_of(1, 0, 2) == ""
    assert fields.out_of(3, 0, 2) == "must be from 0 to 2"
    assert fields.out_of(float("nan"), 0, 2)
    assert fields.wrong_port(0) and fields.wrong_port(65536) and not fields.wrong_port(1)
    assert fields.wrong_text("a\0") and fields.wrong_text("ab", 1) and not fields.wrong_text("ü\n")
