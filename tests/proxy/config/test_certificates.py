"""Reading certificate chains and keys."""

import pytest

from proxy.config.certificates import BadPair, read_chain, read_pair
from tests.proxy.config.pem import EXPIRES, make_pair


def test_names_and_expiry():
    chain, key = make_pair("Shop.example.com", "*.example.com", "10.0.0.1")
    assert read_pair(chain, key) == (("shop.example.com", "*.example.com", "10.0.0.1"), EXPIRES)


def test_the_leaf_comes_first():
    (chain, key), (other, _) = make_pair("a.example.com"), make_pair("b.example.com")
    assert read_pair(chain + other, key).names == ("a.example.com",)
    with pytest.raises(BadPair, match="not the key") as caught:
        read_pair(other + chain, key)
    assert caught.value.field == "key"


@pytest.mark.parametrize(
    ("chain", "key", "field"),
    [
        ("", None, "chain"),
        ("nonsense", None, "chain"),
        (None, "", "key"),
        (None, "nonsense", "key"),
        (None, "(unchanged)", "key"),
        ("x" * 300_000, None, "chain"),
        (None, "x" * 300_000, "key"),
    ],
)
def test_what_cannot_be_read_is_named(chain, key, field):
    good_chain, good_key = make_pair("a.example.com")
    with pytest.raises(BadPair) as caught:
        read_pair(good_chain if chain is None else chain, good_key if key is None else key)
    assert caught.value.field == field
    assert "BEGIN" not in str(caught.value)


def test_a_certificate_without_names_is_of_no_use():
    with pytest.raises(BadPair, match="no DNS name"):
        read_pair(*make_pair())


def test_a_cut_certificate():
    chain, _ = make_pair("a.example.com")
    with pytest.raises(BadPair):
        read_chain(chain[: len(chain) // 2])
