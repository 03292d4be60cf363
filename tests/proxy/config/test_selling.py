"""Which Apis are sold although whoever has a key may call them."""

import msgspec
import pytest

from proxy.config import document as d
from proxy.config.selling import unguarded

ASKS = d.Policy("acl", config={"subscription": True})
OPEN = d.Route("open", upstream="orders")
CLOSED = d.Route("closed", upstream="orders", policies=(ASKS,))
API = d.Api("shop", visibility="public", routes=(OPEN, CLOSED))
PLAN = d.Plan("gold", apis=("shop",))


def warned(api=API, plan=PLAN, policies=()):
    whole = d.Document(apis=(api,), plans=(plan,) if plan else (), policies=policies)
    return [problem.object for problem in unguarded(whole)]


def change(struct, **values):
    return msgspec.structs.replace(struct, **values)


def test_a_sold_api_that_any_key_may_call_is_warned_of():
    assert warned() == ["api shop"]
    assert warned(plan=change(PLAN, apis=None)) == ["api shop"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"policies": (ASKS,)},
        {"api": change(API, policies=(ASKS,))},
        {"api": change(API, routes=(CLOSED,))},
        {"api": change(API, routes=(change(OPEN, enabled=False), CLOSED))},
        {"api": change(API, visibility="private")},
        {"api": change(API, lifecycle="retired")},
        {"plan": change(PLAN, apis=())},
        {"plan": None},
    ],
)
def test_what_is_guarded_or_not_sold_is_not(arguments):
    assert warned(**arguments) == []


@pytest.mark.parametrize(
    "policy",
    [
        change(ASKS, mode="observe"),
        change(ASKS, when='request.method == "POST"'),
        change(ASKS, app="checkout"),
        change(ASKS, config={"allow": ["staff"]}),
    ],
)
def test_what_lets_some_through_guards_nothing(policy):
    assert warned(policies=(policy,)) == ["api shop"]


def test_plans_are_sold_where_they_say():
    whole = d.Document(plans=(d.Plan("all"), d.Plan("none", apis=()), PLAN), apis=(API,))
    assert [plan.apis for plan in d.canonical(whole).plans] == [("shop",), ("shop",), ()]
