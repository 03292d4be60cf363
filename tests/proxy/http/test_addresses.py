"""Addresses: one spelling, forwarded forms, membership in networks."""

from __future__ import annotations

import ipaddress
import random

import pytest

from proxy.http.addresses import Networks, canonical_ip, forwarded_ip, peer_ip


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:C000:0207", "192.0.2.7"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
        ("127.1", None),
        ("0x7f.0.0.1", None),
        ("127.0.0.1 ", None),
        ("127.0.0.1:80", None),
        ("256.0.0.1", None),
        ("1.2.3.4\x00", None),
        ("١.2.3.4", None),
        ("[::1]", None),
        (":::", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_canonical(text: str, canonical: str | None) -> None:
    assert canonical_ip(text) == canonical
    assert peer_ip(text) == (canonical or text)


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ('"192.0.2.1:8080"', "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ('"[2001:db8::1]:4711"', "2001:db8::1"),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1"),
        ("[192.0.2.1]", None),
        ("192.0.2.1:port", None),
        ("192.0.2.1:123456", None),
        ("[2001:db8::1", None),
        ("[2001:db8::1]x", None),
        ("unknown", None),
        ("_hidden", None),
        ('""', None),
        ("", None),
    ],
)
def test_forwarded(text: str, ip: str | None) -> None:
    assert forwarded_ip(text) == ip


def test_networks_agree_with_the_standard_library() -> None:
    chance = random.Random(7)
    texts = []
    for _ in range(300):
        if chance.random() < 0.5:
            texts.append(
                str(ipaddress.ip_network((chance.getrandbits(32), chance.randint(4, 32)), strict=False))
            )
        else:
            texts.append(
                str(ipaddress.ip_network((chance.getrandbits(128), chance.randint(4, 128)), strict=False))
            )
    networks, reference = Networks(texts), [ipaddress.ip_network(text) for text in texts]
    assert len(networks) == 300
    hits = 0
    for _ in range(1000):
        base = chance.choice(reference)
        near = int(base.network_address) + chance.randint(-2, 2)
        number = near if chance.random() < 0.7 else chance.getrandbits(base.max_prefixlen)
        address = type(base.network_address)(max(0, min(number, 2**base.max_prefixlen - 1)))
        expected = any(address in network for network in reference if network.version == address.version)
        assert (str(address) in networks) is expected
        hits += expected
    assert 100 < hits < 1000


def test_mapped_addresses_and_networks() -> None:
    assert "::ffff:10.0.0.1" in Networks(["10.0.0.0/8"])
    assert "10.0.0.1" in Networks(["::ffff:10.0.0.0/104"])
    assert "10.0.0.1" not in Networks(["::/0"])


def test_what_is_no_address_is_in_no_network() -> None:
    everything = Networks(["0.0.0.0/0", "::/0"])
    assert [text in everything for text in ("", "x", "1.2.3", "999.1.1.1", "a" * 10_000)] == [False] * 5


def test_answers_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.http.addresses._CACHE_SIZE", 8)
    networks = Networks(["10.0.0.0/9"])
    for number in range(100):
        assert f"10.0.0.{number}" in networks
        assert f"10.200.0.{number}" not in networks
        assert len(networks._answers) <= 8


@pytest.mark.parametrize("text", ["10.0.0.1/8", "nonsense", "10.0.0.0/-1", "::1/129", ""])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError):
        Networks([text])
