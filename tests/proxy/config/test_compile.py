"""A document becomes the Snapshot that the data plane runs."""

import pytest

from proxy.config import document as d
from proxy.config.compile import compile_document
from proxy.config.snapshot import Limits, PathMatch, Redirect
from proxy.config.store import snapshot_digest
from tests.proxy.config.pem import make_pair


def route(name="r", path="/x", kind="prefix", upstream="u", **values):
    return d.Route(name, PathMatch(kind, path), upstream=upstream, **values)


def compiled(*apis, **values):
    return compile_document(d.Document(apis=apis, **values), 5)


@pytest.mark.parametrize(
    ("base", "kind", "path", "wanted"),
    [
        ("/", "prefix", "/", "/"),
        ("/", "regex", "/a|/b", "/a|/b"),
        ("/shop", "prefix", "/", "/shop"),
        ("/shop", "prefix", "/x", "/shop/x"),
        ("/shop", "exact", "/", "/shop/"),
        ("/shop", "template", "/{id}", "/shop/{id}"),
        ("/shop.v1", "regex", "/a|/b", r"/shop\.v1(?:/a|/b)"),
    ],
)
def test_paths_are_below_the_base_path(base, kind, path, wanted):
    snapshot = compiled(d.Api("shop", base_path=base, routes=(route(path=path, kind=kind),)))
    assert snapshot.routes[0].path == PathMatch(kind, wanted)


def test_hosts_of_the_route_take_the_place_of_the_apis():
    own = route("own", hosts=("B.example.com",))
    snapshot = compiled(d.Api("shop", hosts=("A.example.com",), routes=(route(), own)))
    assert [row.hosts for row in snapshot.routes] == [("a.example.com",), ("b.example.com",)]


def test_what_is_not_in_service_is_left_out():
    snapshot = compiled(
        *(
            d.Api(name, lifecycle=name, routes=(route(name),))
            for name in ("draft", "published", "deprecated", "retired")
        ),
        d.Api("x", routes=(route("off", enabled=False), route("on"))),
        policies=(d.Policy("a", mode="off"), d.Policy("b", mode="observe")),
    )
    assert [(row.name, row.order) for row in snapshot.routes] == [
        ("published", 0),
        ("deprecated", 1),
        ("on", 2),
        ("retired", 3),
    ]
    assert [row.name for row in snapshot.policies] == ["b", "request-termination"]


def test_a_retired_api_leads_nowhere_and_asks_for_nothing():
    key, acl = d.Policy("key-auth"), d.Policy("acl", config={"allow": ["x"]})
    own = (route("a", policies=(acl,)), route("b", redirect=Redirect(301), upstream=""))
    snapshot = compiled(
        d.Api("old", version="v1", title="Shop", lifecycle="retired", policies=(key,), routes=own),
        d.Api("none", lifecycle="retired"),
        d.Api("new", policies=(key,), routes=(route("c"),)),
    )
    assert [(row.name, row.retired, row.upstream, row.redirect) for row in snapshot.routes] == [
        ("c", False, "u", None),
        ("a", True, "", None),
        ("b", True, "", None),
    ]
    *_, gone = snapshot.policies
    assert [(row.name, row.subject) for row in snapshot.policies] == [
        ("key-auth", "new"),
        ("request-termination", "old"),
    ]
    assert gone.config == {"status": 410, "message": "The API Shop v1 is retired."}


def test_every_field_of_a_route_arrives():
    values = {
        "methods": ("GET",),
        "strip_prefix": True,
        "preserve_host": True,
        "websocket": False,
        "body_bytes": 1,
        "request_timeout": 2.0,
        "first_byte_timeout": 3.0,
        "allow_encoded": True,
        "rewrite_path": "/y",
    }
    snapshot = compiled(d.Api("shop", routes=(route(**values),)))
    assert {name: getattr(snapshot.routes[0], name) for name in values} == values


def test_limits_are_laid_over_the_defaults():
    snapshot = compiled(gateway=d.Gateway({"body_bytes": 7}))
    assert snapshot.limits == Limits(body_bytes=7)


def test_certificates_know_their_names():
    chain, key = make_pair("a.example.com")
    (certificate,) = compiled(certificates=(d.Certificate("c", chain, key),)).certificates
    assert certificate.names == ("a.example.com",)
    assert key not in repr(certificate) + repr(d.Certificate("c", chain, key))


def test_the_same_document_gives_the_same_digest():
    api = d.Api("shop", routes=(route(),))
    assert snapshot_digest(compiled(api)) == snapshot_digest(compile_document(d.Document(apis=(api,)), 6))
