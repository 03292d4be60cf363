"""Every broken configuration is refused with object, field and reason, all at once."""

import msgspec
import pytest

from proxy.config import document as d
from proxy.config.decode import decode
from proxy.config.snapshot import PathMatch, Redirect, Target, Upstream, ValueMatch
from proxy.config.whole import check, problems_of, warnings_of

UPSTREAM = Upstream("products", (Target("127.0.0.1", 9001),))
ROUTE = d.Route("list", PathMatch("prefix", "/products"), upstream="products")
API = d.Api("shop", routes=(ROUTE,))
GOOD = d.Document(upstreams=(UPSTREAM,), apis=(API,))


def change(struct, **values):
    return msgspec.structs.replace(struct, **values)


def with_route(**values):
    return change(GOOD, apis=(change(API, routes=(change(ROUTE, **values),)),))


def with_upstream(**values):
    return change(GOOD, upstreams=(change(UPSTREAM, **values),))


def with_target(**values):
    return with_upstream(targets=(change(UPSTREAM.targets[0], **values),))


def with_policy(**values):
    return change(GOOD, policies=(d.Policy(**{"name": "key-auth", **values}),))


def with_gateway(**values):
    return change(GOOD, gateway=d.Gateway(**values))


def found(whole, apps=()):
    return {(problem.object, problem.field) for problem in problems_of(whole, apps)}


def test_a_good_one_has_no_problems():
    snapshot, problems = check(GOOD, (), 3)
    assert problems == [] and snapshot.revision == 3


ROUTE_CASES = [
    (with_route(name="Bad Name"), "name"),
    (with_route(path=PathMatch("prefix", "products")), "path.value"),
    (with_route(path=PathMatch("prefix", "/a//b")), "path.value"),
    (with_route(path=PathMatch("prefix", "/a/")), "path.value"),
    (with_route(path=PathMatch("exact", "/a/../b")), "path.value"),
    (with_route(path=PathMatch("exact", "/%2e%2e/")), "path.value"),
    (with_route(path=PathMatch("exact", "/%41")), "path.value"),
    (with_route(path=PathMatch("exact", "/a%2Fb")), "path.value"),
    (with_route(path=PathMatch("template", "/a/{id")), "path.value"),
    (with_route(path=PathMatch("template", "/a/{x}/{x}")), "path.value"),
    (with_route(path=PathMatch("template", "/a/{}")), "path.value"),
    (with_route(path=PathMatch("regex", "/a(")), "path.value"),
    (with_route(path=PathMatch("regex", "/(a+)+b")), "path.value"),
    (with_route(path=PathMatch("regex", ".*")), "path.value"),
    (with_route(hosts=("A.com",)), "hosts[0]"),
    (with_route(hosts=("a.com:80",)), "hosts"),
    (with_route(hosts=("a.com", "a.com")), "hosts[1]"),
    (with_route(methods=("get",)), "methods"),
    (with_route(methods=("GET", "GET")), "methods[1]"),
    (with_route(methods=("CONNECT",)), "methods[0]"),
    (with_route(headers=(ValueMatch("a b"),)), "headers"),
    (with_route(headers=(ValueMatch("a", "x\r\ny"),)), "headers[0].value"),
    (with_route(headers=(ValueMatch("a", "("[:1], "regex"),)), "headers"),
    (with_route(headers=(ValueMatch("a"), ValueMatch("A"))), "headers[1].name"),
    (with_route(headers=(ValueMatch("a", "x", "present"),)), "headers[0].value"),
    (with_route(query=(ValueMatch(""),)), "query"),
    (with_route(upstream="nowhere"), "upstream"),
    (with_route(upstream=""), "upstream"),
    (with_route(redirect=Redirect()), "redirect"),
    (with_route(upstream="", redirect=Redirect(scheme="ftp")), "redirect.scheme"),
    (with_route(upstream="", redirect=Redirect(host="a/b")), "redirect.host"),
    (with_route(upstream="", redirect=Redirect(port=70000)), "redirect.port"),
    (with_route(upstream="", redirect=Redirect(path="x\r\n")), "redirect.path"),
    (with_route(rewrite_path="no-slash"), "rewrite_path"),
    (with_route(rewrite_path="/{id}"), "rewrite_path"),
    (with_route(path=PathMatch("regex", "/a"), strip_prefix=True), "strip_prefix"),
    (with_route(body_bytes=-1), "body_bytes"),
    (with_route(request_timeout=0.0), "request_timeout"),
    (with_route(first_byte_timeout=float("nan")), "first_byte_timeout"),
]
OTHER_CASES = [
    (with_upstream(targets=()), "upstream products", "targets"),
    (with_target(port=0), "upstream products", "targets[0].port"),
    (with_target(host=""), "upstream products", "targets[0].host"),
    (with_target(host="a b"), "upstream products", "targets[0].host"),
    (with_target(host="0.0.0.0"), "upstream products", "targets[0].host"),
    (with_target(host="http://a"), "upstream products", "targets[0].host"),
    (with_target(weight=0), "upstream products", "targets"),
    (with_target(weight=-1), "upstream products", "targets[0].weight"),
    (with_upstream(targets=UPSTREAM.targets * 2), "upstream products", "targets[1]"),
    (with_upstream(connect_timeout=-1.0), "upstream products", "connect_timeout"),
    (with_upstream(retry_budget=1.5), "upstream products", "retry_budget"),
    (with_upstream(retries=11), "upstream products", "retries"),
    (with_upstream(max_connections=0), "upstream products", "max_connections"),
    (with_upstream(host_header="a\r\nX: y"), "upstream products", "host_header"),
    (with_upstream(tls_ca="nonsense"), "upstream products", "tls_ca"),
    (with_upstream(tls_server_name="a b"), "upstream products", "tls_server_name"),
    (change(GOOD, upstreams=(UPSTREAM, UPSTREAM)), "upstream products", "name"),
    (change(GOOD, apis=(API, API)), "api shop", "slug"),
    (change(GOOD, apis=(API, API)), "route list", "name"),
    (change(GOOD, apis=(change(API, base_path="/x/"),)), "api shop", "base_path"),
    (change(GOOD, apis=(change(API, hosts=("*",)),)), "api shop", "hosts[0]"),
    (change(GOOD, plans=(d.Plan("A"),)), "plan A", "name"),
    (change(GOOD, certificates=(d.Certificate("c", "x", "y"),)), "certificate c", "chain"),
    (with_gateway(trusted_proxies=("10.0.0.0/33",)), "gateway", "trusted_proxies[0]"),
    (with_gateway(limits={"header_bytes": 1}), "gateway", "limits.header_bytes"),
    (with_gateway(limits={"header_count": 10.5}), "gateway", "limits.header_count"),
    (with_gateway(limits={"nonsense": 1}), "gateway", "limits.nonsense"),
    (with_gateway(limits={"header_line_bytes": 65536}), "gateway", "limits.header_line_bytes"),
    (with_policy(name="nonsense"), "policy nonsense", "name"),
    (with_policy(config={"nonsense": 1}), "policy key-auth", "config.nonsense"),
    (with_policy(when="request.("), "policy key-auth", "when"),
    (with_policy(label="A B"), "policy A B", "label"),
    (with_policy(app="nobody"), "policy key-auth.consumer.nobody", "app"),
    (with_policy(position=10**9), "policy key-auth", "position"),
    (change(GOOD, policies=(d.Policy("key-auth"), d.Policy("key-auth"))), "policy key-auth", "label"),
    (change(GOOD, plans=(d.Plan("p", policies=(d.Policy("acl", app="x"),)),)), "policy acl.plan.p", "app"),
]


@pytest.mark.parametrize(("whole", "field"), ROUTE_CASES, ids=[str(n) for n in range(len(ROUTE_CASES))])
def test_routes(whole, field):
    name = whole.apis[0].routes[0].name
    assert (f"route {name}", field) in found(whole)
    assert check(whole, ())[0] is None


@pytest.mark.parametrize(
    ("whole", "owner", "field"), OTHER_CASES, ids=[str(n) for n in range(len(OTHER_CASES))]
)
def test_others(whole, owner, field):
    assert (owner, field) in found(whole)


def test_a_path_is_checked_below_its_base_path():
    long = change(
        API, base_path="/" + "b" * 600, routes=(change(ROUTE, path=PathMatch("regex", "/" + "a" * 600)),)
    )
    assert found(change(GOOD, apis=(long,))) == {("route list", "path.value")}


def test_a_bad_base_path_is_said_once():
    assert found(change(GOOD, apis=(change(API, base_path="x"),))) == {("api shop", "base_path")}


def test_all_problems_come_at_once():
    whole = change(with_route(upstream="nowhere", methods=("get",), body_bytes=-1), policies=(d.Policy("x"),))
    assert found(whole) == {
        ("route list", "upstream"),
        ("route list", "methods"),
        ("route list", "body_bytes"),
        ("policy x", "name"),
    }


def test_an_app_that_exists_may_have_policies():
    assert found(with_policy(app="mobile"), {"mobile"}) == set()


def test_the_same_policy_at_two_places_needs_no_labels():
    policy = d.Policy("request-size")
    whole = change(
        GOOD,
        policies=(policy,),
        apis=(change(API, policies=(policy,), routes=(change(ROUTE, policies=(policy,)),)),),
    )
    snapshot, problems = check(whole, ())
    assert problems == []
    assert [(row.label, row.scope, row.subject) for row in snapshot.policies] == [
        ("request-size", "global", ""),
        ("request-size.api.shop", "api", "shop"),
        ("request-size.route.list", "route", "list"),
    ]


def test_a_label_that_another_policy_has_without_one_is_found():
    whole = change(GOOD, policies=(d.Policy("key-auth"), d.Policy("acl", label="key-auth")))
    assert ("policy key-auth", "label") in found(whole)


def test_unreachable_routes_are_warnings():
    shadow = change(ROUTE, name="shadow")
    snapshot, problems = check(change(GOOD, apis=(change(API, routes=(ROUTE, shadow)),)), ())
    assert problems == []
    (warning,) = warnings_of(GOOD, snapshot)
    assert warning.object == "route shadow" and "never reached because of route list" in warning.reason


def test_a_plan_names_apis_that_there_are_each_once():
    plan = d.Plan("gold", apis=("shop", "nowhere"))
    assert found(change(GOOD, plans=(plan,))) == {("plan gold", "apis[1]")}
    assert found(change(GOOD, plans=(change(plan, apis=("shop", "shop")),))) == {("plan gold", "apis")}
    for apis in (None, (), ("shop",)):
        assert not found(change(GOOD, plans=(change(plan, apis=apis),)))


def test_wrong_kinds_of_values_are_all_found():
    raw = {
        "upstreams": [{"name": "u", "targets": [{"host": 1, "port": "x"}], "protocol": "ftp", "extra": 1}],
        "apis": [
            {"slug": "shop", "hosts": "a.com", "routes": [{"name": "r", "path": {"kind": "glob"}}, {}, 5]}
        ],
        "policies": {"name": "x"},
        "nonsense": [],
    }
    _, problems = decode(d.Document, raw)
    assert {(problem.object, problem.field) for problem in problems} == {
        ("upstream u", "targets[0].host"),
        ("upstream u", "targets[0].port"),
        ("upstream u", "protocol"),
        ("upstream u", "extra"),
        ("api shop", "hosts"),
        ("route r", "path.kind"),
        ("route apis[0].routes[1]", "name"),
        ("api shop", "routes[2]"),
        ("document", "policies"),
        ("document", "nonsense"),
    }
