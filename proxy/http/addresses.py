"""IP addresses as the gateway compares them: one spelling each, and fast membership in sets of networks."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

_MAPPED = b"\x00" * 10 + b"\xff\xff"
"""How an IPv6 address begins that carries an IPv4 address (RFC 4291 section 2.5.5.2)."""
_CACHE_SIZE = 8192


def _packed(text: str) -> bytes | None:
    """The 4 or 16 bytes of an address, an IPv4-mapped one as its 4; None if it is not an address."""
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def canonical_ip(text: str) -> str | None:
    """The one spelling of an address, None if the text is none.

    IPv4-mapped IPv6 becomes IPv4, a zone (`%eth0`) is dropped, IPv6 is compressed and in lower case
    (RFC 5952).
    """
    packed = _packed(text)
    if packed is None:
        return None
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def peer_ip(text: str) -> str:
    """The address at the other end of a connection: IPv4 clients of a socket for both are IPv4 clients."""
    return canonical_ip(text) or text


def forwarded_ip(text: str) -> str | None:
    """The address in an element of `X-Forwarded-For` or `Forwarded`, None for anything else.

    Both may carry quotes, brackets and a port: `"[2001:db8::1]:4711"`, `192.0.2.1:80` (RFC 7239 section 6).
    """
    if len(text) > 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or ":" not in text or not _is_port(port):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(":" + port):
            return None
    return canonical_ip(text)


def _is_port(text: str) -> bool:
    digits = text[1:]
    return not text or (text[0] == ":" and digits.isascii() and digits.isdigit() and len(digits) <= 5)


class Networks:
    """A set of networks (`10.0.0.0/8`, `2001:db8::/32`, single addresses) that answers `ip in networks`.

    An answer takes one set look-up per distinct prefix length, however many networks there are; recent
    answers are kept. What is no address is in no network. A host part in a network is an error, and so is
    anything that is no network: `ValueError`.
    """

    __slots__ = ("_answers", "_four", "_six", "_size")

    def __init__(self, networks: Iterable[str]) -> None:
        four: dict[int, set[int]] = {}
        six: dict[int, set[int]] = {}
        self._size = 0
        for text in networks:
            version, shift, prefix = _prefix(text)
            (four if version == 4 else six).setdefault(shift, set()).add(prefix)
            self._size += 1
        self._four = sorted(four.items())
        self._six = sorted(six.items())
        self._answers: dict[str, bool] = {}

    def __len__(self) -> int:
        return self._size

    def __contains__(self, ip: str) -> bool:
        answer = self._answers.get(ip)
        if answer is None:
            answer = self._look_up(ip)
            if len(self._answers) >= _CACHE_SIZE:
                self._answers.clear()
            if len(ip) <= 64:
                self._answers[ip] = answer
        return answer

    def _look_up(self, ip: str) -> bool:
        packed = _packed(ip)
        if packed is None:
            return False
        number = int.from_bytes(packed)
        return any(
            number >> shift in prefixes for shift, prefixes in (self._four if len(packed) == 4 else self._six)
        )


def _prefix(text: str) -> tuple[int, int, int]:
    """IP version, number of host bits and prefix of a network."""
    network = ipaddress.ip_network(text.strip())
    bits, number, length = network.max_prefixlen, int(network.network_address), network.prefixlen
    if network.version == 6 and length >= 96 and network.network_address.packed.startswith(_MAPPED):
        bits, number, length = 32, number & 0xFFFFFFFF, length - 96
    return (4 if bits == 32 else 6), bits - length, number >> (bits - length)
