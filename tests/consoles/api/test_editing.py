"""Making, reading, changing and deleting, through the models' own rules."""

import pytest

from consoles.models import AuditEntry
from proxy.models import Api, App, Plan, Route, Target, Upstream

pytestmark = [pytest.mark.django_db, pytest.mark.database]

ROUTE = {"name": "detail", "api": "shop", "path_kind": "exact", "path": "/products/1", "upstream": "products"}


def fields_of(answer):
    """What a problem says of each field."""
    assert answer.headers["content-type"] == "application/problem+json"
    return {line["field"]: line["message"] for line in answer.json()["errors"]}


def test_a_route_from_nothing_to_gone(world, editor):
    made = editor("POST", "routes", {**ROUTE, "headers": [{"name": "x-a", "kind": "present"}]})
    assert made.status_code == 201, made.json()
    body = made.json()
    assert (body["api"], body["upstream"], body["path"], body["edition"]) == (
        "shop",
        "products",
        "/products/1",
        0,
    )
    address = made.headers["location"]
    read = editor("GET", address)
    assert (read.json(), read.headers["etag"]) == (body, made.headers["etag"])
    changed = editor("PATCH", address, {"methods": ["GET"]}, match=made.headers["etag"])
    assert (changed.status_code, changed.json()["methods"], changed.headers["etag"]) == (200, ["GET"], '"1"')
    replaced = editor("PUT", address, ROUTE, match='"1"')
    assert replaced.json() == {
        **body,
        "headers": [],
        "edition": 2,
        "updated_at": replaced.json()["updated_at"],
    }
    assert editor("DELETE", address, match='"2"').status_code == 204
    assert editor("GET", address).status_code == 404
    trail = AuditEntry.objects.filter(kind="route", object_name="detail").order_by("id")
    assert [entry.action for entry in trail] == ["create", "update", "update", "delete"]
    assert trail[1].actor_name == "editor"
    assert {"field": "methods", "before": [], "after": ["GET"]} in trail[1].changes
    assert any(change["field"] == "by token" for change in trail[1].changes)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_nobody_overwrites_what_they_have_not_seen(world, editor, method):
    body = None if method == "DELETE" else {"name": "gold", "title": "mine"}
    address = f"plans/{world.plan.pk}"
    missing = editor(method, address, body)
    assert (missing.status_code, missing.json()["type"]) == (428, "urn:tidegate:problem:if-match-missing")
    stale = editor("GET", address).headers["etag"]
    world.plan.title = "theirs"
    world.plan.save()
    late = editor(method, address, body, match=stale)
    assert (late.status_code, late.json()["type"]) == (412, "urn:tidegate:problem:changed-meanwhile")
    assert Plan.objects.get().title == "theirs"
    assert not AuditEntry.objects.filter(kind="plan").exists()


def test_a_tag_that_compression_made_weak_is_still_the_one(world, editor):
    weak = f"W/{editor('GET', f'plans/{world.plan.pk}').headers['etag']}"
    assert editor("PATCH", f"plans/{world.plan.pk}", {"title": "x"}, match=weak).status_code == 200


def test_all_that_is_wrong_is_said_at_once(world, editor):
    answer = editor(
        "POST",
        "routes",
        {
            **ROUTE,
            "path": "no-slash",
            "methods": ["get"],
            "upstream": "nowhere",
            "enabled": "maybe",
            "nome": 1,
            "id": 7,
        },
    )
    assert answer.status_code == 400
    found = fields_of(answer)
    assert {"path", "methods", "upstream", "enabled", "nome", "id"} <= set(found)
    assert found["id"] == "Cannot be written."
    assert "nome" not in found["path"]
    assert not Route.objects.filter(name="detail").exists()


@pytest.mark.parametrize(
    ("resource", "body", "field"),
    [
        ("apis", {"slug": "Shop"}, "slug"),
        ("apis", {"slug": "a", "hosts": ["*.*"]}, "hosts"),
        ("apis", {"slug": "a", "tags": "x"}, "tags"),
        ("apis", {"slug": "a", "lifecycle": "dead"}, "lifecycle"),
        ("apis", {"slug": "a", "sunset_at": "soon"}, "sunset_at"),
        ("apis", {"slug": "a", "deprecated_at": "2026-02-01", "sunset_at": "2026-01-01"}, "sunset_at"),
        ("apis", {"slug": "a", "documentation_url": "javascript:alert(1)"}, "documentation_url"),
        ("apis", {"slug": "shop"}, "slug"),
        ("apis", {"slug": "a", "tags": ["\0"]}, "tags"),
        ("apis", [], ""),
        ("apis", {}, "slug"),
        ("routes", {**ROUTE, "api": {"id": 1}}, "api"),
        ("routes", {**ROUTE, "headers": [{"name": "a"}, {"name": "A"}]}, "headers"),
        ("routes", {**ROUTE, "body_bytes": 10**30}, "body_bytes"),
        ("routes", {**ROUTE, "upstream": None}, "upstream"),
        ("upstreams", {"name": "a", "connect_timeout": "nan"}, "connect_timeout"),
        ("upstreams", {"name": "a", "health": {"path": "x"}}, "health"),
        ("upstreams", {"name": "a", "outlier": {"max_percent": 0}}, "outlier"),
        ("upstreams", {"name": "a", "targets": [{"host": "a", "port": 0}]}, "targets[0].port"),
        ("upstreams", {"name": "a", "targets": [{"host": "a", "port": 1, "x": 1}]}, "targets[0].x"),
        ("upstreams", {"name": "a", "targets": [{"host": "a", "port": 1}] * 2}, "targets"),
        ("upstreams", {"name": "a", "targets": "x"}, "targets"),
        ("policies", {"name": "no-such"}, "name"),
        ("policies", {"name": "rate-limit", "config": {"limit": -1}}, "config"),
        ("policies", {"name": "key-auth", "scope": "api"}, "api"),
        ("policies", {"name": "key-auth", "when": "("}, "when"),
        ("plans", {"name": "a", "approval": "never"}, "approval"),
        ("apps", {"name": "A b"}, "name"),
        ("apps", {"name": "a", "groups": ["x", "x"]}, "groups"),
        ("apps", {"name": "a", "developer": "nobody@example.com"}, "developer"),
        ("developers", {"email": "no"}, "email"),
        ("certificates", {"name": "a", "chain": "x", "key": "y"}, "chain"),
        ("keys", {"app": "nobody"}, "app"),
        ("subscriptions", {"app": "mobile", "api": "shop", "plan": "none"}, "plan"),
    ],
)
def test_what_the_models_refuse(world, editor, resource, body, field):
    answer = editor("POST", resource, body)
    assert answer.status_code == 400
    assert field in fields_of(answer)


@pytest.mark.parametrize(
    "raw", [b"{", b'"\\ud800"', b"\xff", b"NaN", b"[" * 100_000, b'{"slug": 1e999}', b"1" * 10_000]
)
def test_what_is_no_json(editor, raw):
    answer = editor("POST", "apis", raw=raw)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_bodies_have_a_cap_and_a_kind(editor):
    assert editor("POST", "apis", raw=b'{"slug": "' + b"a" * 9_000_000 + b'"}').status_code == 413
    form = editor.client.post("/api/v1/apis", {"slug": "a"}, headers=editor.headers)
    assert (form.status_code, form.json()["title"]) == (415, "Unsupported Media Type")


def test_what_is_in_use_stays(world, editor):
    upstream = editor("GET", f"upstreams/{world.upstream.pk}").headers["etag"]
    answer = editor("DELETE", f"upstreams/{world.upstream.pk}?cascade=true", match=upstream)
    assert (answer.status_code, answer.json()["errors"]) == (
        409,
        [{"object": "route list", "message": "uses it"}],
    )
    assert Upstream.objects.exists()


def test_what_would_go_with_it_goes_only_if_it_is_meant(world, editor):
    answer = editor("DELETE", f"apis/{world.api.pk}", match='"0"')
    assert answer.status_code == 409
    assert "1 routes" in answer.json()["detail"] and "1 subscriptions" in answer.json()["detail"]
    assert editor("DELETE", f"apis/{world.api.pk}?cascade=perhaps", match='"0"').status_code == 400
    assert Api.objects.exists()
    assert editor("DELETE", f"apis/{world.api.pk}?cascade=true", match='"0"').status_code == 204
    assert not Api.objects.exists() and not Route.objects.exists()


def test_targets_come_with_their_upstream(world, editor):
    made = editor(
        "POST",
        "upstreams",
        {"name": "stock", "targets": [{"host": "10.0.0.1", "port": 80}, {"host": "10.0.0.2", "port": 80}]},
    )
    assert made.status_code == 201, made.json()
    first = made.json()["targets"][0]
    changed = editor(
        "PATCH",
        made.headers["location"],
        {"targets": [{"host": "10.0.0.1", "port": 80, "weight": 5}]},
        match=made.headers["etag"],
    )
    (left,) = changed.json()["targets"]
    assert (left["id"], left["weight"]) == (first["id"], 5)
    kept = editor("PATCH", made.headers["location"], {"retries": 0}, match=changed.headers["etag"])
    assert kept.json()["targets"] == [left]


def test_one_target_by_itself_makes_its_upstream_another(world, editor):
    upstream = editor("GET", f"upstreams/{world.upstream.pk}").headers["etag"]
    address = f"upstreams/{world.upstream.pk}/targets"
    assert [row["host"] for row in editor("GET", address).json()["results"]] == ["127.0.0.1"]
    drained = editor("PATCH", f"{address}/{world.target.pk}", {"weight": 0}, match='"0"')
    assert (drained.status_code, drained.json()["weight"]) == (200, 0)
    assert (
        editor("PATCH", f"upstreams/{world.upstream.pk}", {"retries": 0}, match=upstream).status_code == 412
    )
    assert editor("POST", address, {"host": "10.0.0.9", "port": 80}).status_code == 201
    twice = editor("POST", address, {"host": "10.0.0.9", "port": 80})
    assert twice.status_code == 400
    other = Target.objects.create(upstream=Upstream.objects.create(name="other"), host="a", port=1)
    assert editor("GET", f"{address}/{other.pk}").status_code == 404
    assert editor("GET", "upstreams/999/targets").status_code == 404


def test_the_gateway_is_one(world, editor):
    read = editor("GET", "gateway")
    assert (read.json()["limits"], read.headers["etag"]) == ({}, '"0"')
    changed = editor("PATCH", "gateway", {"limits": {"body_bytes": 1024}}, match='"0"')
    assert (changed.status_code, changed.json()["limits"]) == (200, {"body_bytes": 1024})
    assert "limits" in fields_of(editor("PATCH", "gateway", {"limits": {"no_such": 1}}, match='"1"'))


def test_an_app_moves_to_the_nodes_when_it_changes(world, editor):
    read = editor("GET", f"apps/{world.app.pk}")
    suspended = editor("PATCH", f"apps/{world.app.pk}", {"active": False}, match=read.headers["etag"])
    assert suspended.headers["etag"] != read.headers["etag"]
    assert not App.objects.get().active


def test_deciding_a_subscription(world, editor):
    address = f"subscriptions/{world.subscription.pk}"
    assert editor("POST", f"{address}/pause", {}).status_code == 409
    approved = editor("POST", f"{address}/approve", {})
    assert (approved.status_code, approved.json()["status"]) == (200, "accepted")
    assert editor("POST", f"{address}/approve", {}).status_code == 409
    assert editor("POST", f"{address}/pause").json()["status"] == "paused"
    assert editor("POST", f"{address}/resume", {"x": 1}).status_code == 400
    assert editor("POST", f"{address}/resume", {}).json()["status"] == "accepted"
    assert editor("POST", f"{address}/close", {}).json()["status"] == "closed"
    actions = AuditEntry.objects.filter(kind="subscription").order_by("id").values_list("action", flat=True)
    assert list(actions) == ["approve", "update", "update", "update"]


def test_a_plan_that_approves_by_itself(world, editor):
    Plan.objects.create(name="free", approval="auto").apis.add(world.api)
    world.subscription.delete()
    made = editor("POST", "subscriptions", {"app": "mobile", "api": "shop", "plan": "free"})
    assert (made.status_code, made.json()["status"]) == (201, "accepted")
    twice = editor("POST", "subscriptions", {"app": "mobile", "api": "shop", "plan": "free"})
    assert (twice.status_code, twice.json()["errors"][0]["message"]) == (
        400,
        "This App has a Subscription to this Api already.",
    )


def test_the_days_of_an_api_are_written_and_read(editor):
    days = {"deprecated_at": "2026-01-01", "sunset_at": "2026-12-31"}
    made = editor("POST", "apis", {"slug": "old", "lifecycle": "deprecated", **days})
    assert made.status_code == 201 and days.items() <= made.json().items()
    address, etag = f"apis/{made.json()['id']}", made["ETag"]
    changed = editor("PATCH", address, {"sunset_at": None}, if_match=etag)
    assert changed.status_code == 200 and changed.json()["sunset_at"] is None
    assert changed.json()["deprecated_at"] == "2026-01-01"
