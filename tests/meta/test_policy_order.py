"""The execution order of all policies, pinned: putting one in between is a visible change of one line."""

from proxy.pipeline.registry import policies

ORDER = [
    ("RECEIVE", 10, "cors"),
    ("RECEIVE", 20, "ip-restriction"),
    ("RECEIVE", 30, "request-termination"),
    ("IDENTIFY", 50, "key-auth"),
    ("AUTHORIZE", 50, "acl"),
    ("LIMIT", 10, "request-size"),
    ("LIMIT", 50, "rate-limit"),
    ("SHAPE_REQUEST", 50, "transform-request"),
    ("SHAPE_RESPONSE", 50, "transform-response"),
]


def test_the_order_is_the_one_written_down() -> None:
    assert [(policy.stage.name, policy.rank, name) for name, policy in policies().items()] == ORDER


def test_no_two_policies_share_a_place() -> None:
    places = [(policy.stage, policy.rank) for policy in policies().values()]
    assert len(places) == len(set(places))
