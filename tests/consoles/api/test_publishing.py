"""Validate, diff, publish, roll back, and the match tester."""

import pytest

from consoles.models import AuditEntry
from proxy.models import Policy, Revision, Route

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_from_a_change_to_a_revision_and_back(world, publisher):
    assert publisher("GET", "draft/diff").json() == {"changes": []}
    world.route.methods = ["GET"]
    world.route.save()
    (change,) = publisher("GET", "draft/diff").json()["changes"]
    assert (change["kind"], change["object"], change["details"]) == (
        "changed",
        "route list",
        ['methods: (default) -> ["GET"]'],
    )
    made = publisher("POST", "draft/publish", {"note": "GET only"})
    assert made.status_code == 201
    body = made.json()
    assert (body["number"], body["author"], body["note"], body["changes"]) == (
        2,
        "publisher",
        "GET only",
        [change],
    )
    back = publisher("POST", "revisions/1/rollback", {})
    assert (back.status_code, back.json()["number"]) == (201, 3)
    assert Route.objects.get(name="list").methods == []
    listed = publisher("GET", "revisions").json()["results"]
    assert [row["number"] for row in listed] == [3, 2, 1]
    assert "document" not in listed[0]
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["publish", "rollback"]


def test_a_draft_that_is_wrong_is_refused_as_a_whole(world, publisher):
    Policy.objects.create(name="key-auth", scope="api", api=world.api)
    found = publisher("GET", "draft/validate").json()
    assert not found["publishable"] and found["problems"][0]["object"] == "policy key-auth.api.shop"
    refused = publisher("POST", "draft/publish", {})
    assert (refused.status_code, refused.json()["errors"]) == (422, found["problems"])
    assert Revision.objects.count() == 1
    assert not AuditEntry.objects.exists()
    assert publisher("POST", "draft/publish", {"note": "a" * 3000}).status_code == 400
    assert publisher("POST", "draft/publish", {"notes": "a"}).status_code == 400


def test_old_configurations_can_be_read_without_their_keys(world, publisher):
    found = publisher("GET", "revisions/1/document").json()
    assert found["apis"][0]["slug"] == "shop"
    assert found["certificates"][0]["key"] == "(unchanged)"
    assert publisher("GET", "revisions/9/document").status_code == 404
    assert publisher("POST", "revisions/9/rollback", {}).status_code == 404


def test_which_route_takes_a_call(world, editor):
    Route.objects.create(
        api=world.api, name="one", path_kind="exact", path="/products/1", upstream=world.upstream
    )
    asked = editor("POST", "match", {"target": "/products/1?x=1", "host": "Shop.example.com:8000"}).json()
    assert (asked["route"], asked["path"]) == ("one", "/products/1")
    assert [verdict["route"] for verdict in asked["verdicts"]] == ["one", "list"]
    live = editor("POST", "match", {"target": "/products/1", "configuration": "live"}).json()
    assert live["route"] == "list"
    none = editor("POST", "match", {"target": "/Products"}).json()
    assert none["route"] is None and "letter case" in none["near"][0]


def test_calls_that_the_gateway_would_refuse(world, editor):
    for wrong in ({"target": "products"}, {"target": "/a/%zz"}, {"target": "/", "headers": {"a": 1}}, {}):
        assert editor("POST", "match", wrong).status_code == 400, wrong
    encoded = editor("POST", "match", {"target": "/products/a%2Fb"}).json()
    assert encoded["route"] == "list" and "escape" in encoded["refused"]
