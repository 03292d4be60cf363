"""What differs between two configurations."""

from proxy.config import document as d
from proxy.config.difference import differences
from proxy.config.snapshot import PathMatch
from tests.proxy.config.pem import make_pair


def lines(old, new):
    return [str(change) for change in differences(old, new)]


def shop(*routes, **values):
    return d.Document(apis=(d.Api("shop", routes=routes, **values),))


def test_equal_documents_do_not_differ():
    assert lines(shop(d.Route("a")), shop(d.Route("a", PathMatch("prefix", "/")))) == []


def test_objects_and_fields():
    old = shop(d.Route("a"), d.Route("b", PathMatch("prefix", "/x"), methods=("GET",)), title="Old")
    new = shop(d.Route("b", PathMatch("prefix", "/y")), d.Route("c"), title="New")
    assert lines(old, new) == [
        "+ route c",
        "- route a",
        '~ api shop\n    title: "Old" -> "New"',
        '~ route b\n    path.value: "/x" -> "/y"\n    methods: ["GET"] -> (default)',
    ]


def test_order_counts():
    assert lines(shop(d.Route("a"), d.Route("b")), shop(d.Route("b"), d.Route("a"))) == [
        '~ api shop\n    order of routes: ["b","a"]'
    ]


def test_a_route_that_moves_to_another_api():
    old = d.Document(apis=(d.Api("x", routes=(d.Route("r"),)), d.Api("y")))
    new = d.Document(apis=(d.Api("x"), d.Api("y", routes=(d.Route("r"),))))
    assert lines(old, new) == ['~ route r\n    api: "x" -> "y"']


def test_a_policy_that_changes_its_place_is_another_one():
    old = d.Document(policies=(d.Policy("cors"),))
    assert lines(old, shop(policies=(d.Policy("cors"),))) == [
        "+ api shop",
        "+ policy cors.api.shop",
        "- policy cors",
    ]


def test_private_keys_are_not_shown():
    (chain, key), (_, other) = make_pair("a.b"), make_pair("a.b")
    old, new = (d.Document(certificates=(d.Certificate("c", chain, pem),)) for pem in (key, other))
    assert lines(old, new) == ["~ certificate c\n    key: replaced"]


def test_long_values_are_cut():
    (line,) = lines(shop(), shop(openapi="x" * 1000))
    assert len(line) < 200
