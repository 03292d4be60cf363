"""Keys: issued once, rolled, revoked; and that no answer holds a secret."""

import re

import pytest

from consoles.api import keys as key_resource
from consoles.api import urls
from consoles.models import ApiToken, AuditEntry, Role
from proxy.models import Credential
from tests.consoles.api.conftest import Caller, make_token

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_a_key_is_in_one_answer_only(world, editor):
    made = editor("POST", "keys", {"app": "mobile", "name": "ci"})
    assert made.status_code == 201
    raw = made.json()["key"]
    assert re.fullmatch(r"tg_[0-9A-Za-z]{30}_[0-9A-Za-z]{6}", raw)
    assert made.json()["prefix"] == raw[:8]
    address = f"keys/{made.json()['id']}"
    read = editor("GET", address)
    assert "key" not in read.json() and raw not in read.content.decode()
    entry = AuditEntry.objects.get(action="issue")
    assert raw not in repr(entry.changes) and entry.actor_name == "editor"


def test_rolling_leaves_the_old_one_for_a_while(world, editor):
    rolled = editor("POST", f"keys/{world.key.pk}/roll", {"overlap_seconds": 60})
    assert rolled.status_code == 201 and rolled.json()["key"].startswith("tg_")
    assert rolled.json()["id"] != world.key.pk
    old = editor("GET", f"keys/{world.key.pk}").json()
    assert old["status"] == "active" and old["expires_at"] is not None
    for wrong in (-1, 10**9, "soon"):
        assert editor("POST", f"keys/{world.key.pk}/roll", {"overlap_seconds": wrong}).status_code == 400


def test_another_pepper_than_that_of_the_keys_is_said(world, editor, monkeypatch):
    monkeypatch.setenv("TIDEGATE_KEY_PEPPER", "ab" * 32)
    for address, body in (("keys", {"app": "mobile"}), (f"keys/{world.key.pk}/roll", {})):
        answer = editor("POST", address, body)
        assert answer.status_code == 409 and "another pepper" in answer.json()["detail"]


def test_revoking_is_for_good(world, editor):
    revoked = editor("POST", f"keys/{world.key.pk}/revoke", {})
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    assert editor("POST", f"keys/{world.key.pk}/revoke", {}).status_code == 200
    assert editor("POST", f"keys/{world.key.pk}/roll", {}).status_code == 409
    assert AuditEntry.objects.filter(action="revoke").count() == 1


def test_a_key_stays_with_its_app(world, editor):
    world.app.__class__.objects.create(name="other")
    tag = editor("GET", f"keys/{world.key.pk}").headers["etag"]
    moved = editor("PATCH", f"keys/{world.key.pk}", {"app": "other"}, match=tag)
    assert (moved.status_code, moved.json()["errors"][0]["field"]) == (400, "app")
    named = editor("PATCH", f"keys/{world.key.pk}", {"name": "new"}, match=tag)
    assert (named.status_code, named.json()["name"]) == (200, "new")
    assert bytes(Credential.objects.get(pk=world.key.pk).digest) == bytes(world.key.digest)


def test_not_too_many_in_a_minute(world, editor, monkeypatch):
    monkeypatch.setattr(key_resource, "ISSUED_AT_MOST", "2/m")
    statuses = [editor("POST", "keys", {"app": "mobile"}).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]


@pytest.mark.parametrize("role", list(Role))
def test_no_answer_holds_a_secret(world, members, role):
    """Private keys, keys, hashes: not in lists, details, the audit trail, the diff or old revisions."""
    value = make_token(members[role])
    caller = Caller(value)
    owner = Caller(make_token(members[Role.OWNER]))
    owner("POST", "certificates", {"name": "again", "chain": world.chain, "key": world.private_key})
    secrets = [
        world.private_key.strip().splitlines()[2],
        world.raw_key,
        bytes(world.key.digest).hex(),
        repr(bytes(world.key.digest)),
        value,
        bytes(ApiToken.objects.first().digest).hex(),
    ]
    addresses = [f"{prefix}?page_size=200" for prefix, _, _ in urls.router.registry if "<" not in prefix]
    addresses += [
        "draft/diff",
        "draft/validate",
        "gateway",
        "revisions/1/document",
        f"certificates/{world.certificate.pk}",
        f"keys/{world.key.pk}",
    ]
    for address in addresses:
        text = caller("GET", address.replace("policy-kinds?page_size=200", "policy-kinds")).content.decode()
        for secret in secrets:
            assert secret not in text, address


def test_a_certificate_keeps_its_key_unless_another_is_sent(world, editor):
    address = f"certificates/{world.certificate.pk}"
    answer = editor("PUT", address, {"name": "shop", "chain": world.chain}, match='"0"')
    assert answer.status_code == 200 and "key" not in answer.json()
    world.certificate.refresh_from_db()
    assert world.certificate.key == world.private_key
    assert editor("POST", "certificates", {"name": "b", "chain": world.chain}).status_code == 400


def test_a_document_that_is_not_public_is_not_for_viewers(world, callers):
    viewer, address = callers[Role.VIEWER], f"apis/{world.api.pk}"
    assert viewer("GET", f"{address}/openapi").status_code == 403
    assert (
        "openapi: 3.1.0"
        not in viewer("GET", "apis").content.decode() + viewer("GET", address).content.decode()
    )
    assert callers[Role.EDITOR]("GET", f"{address}/openapi").json() == {"openapi": "openapi: 3.1.0"}
    world.api.visibility = "public"
    world.api.save()
    assert viewer("GET", f"{address}/openapi").status_code == 200
    put = callers[Role.EDITOR]("PUT", address, {"slug": "shop"}, match='"1"')
    assert put.status_code == 200
    world.api.refresh_from_db()
    assert world.api.openapi == "openapi: 3.1.0"
