"""Members by the Admin API."""

import pytest
from django.contrib.auth import authenticate

from consoles.models import ApiToken, AuditEntry, Membership, Role

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def owner(callers):
    return callers[Role.OWNER]


def pk_of(role):
    return Membership.objects.get(user__username=role.label.lower()).pk


def etag(caller, pk):
    return caller("GET", f"members/{pk}")["ETag"]


def test_a_member_is_made_and_the_password_is_in_that_answer_only(owner):
    made = owner("POST", "members", {"username": "grace", "email": "g@example.test", "role": "editor"})
    assert made.status_code == 201
    body = made.json()
    assert authenticate(username="grace", password=body["password"]).membership.role == Role.EDITOR
    again = owner("GET", made["Location"])
    assert again["ETag"] == made["ETag"]
    assert again.json() == {
        "id": body["id"],
        "username": "grace",
        "email": "g@example.test",
        "role": "editor",
        "active": True,
        "temporary_password": True,
        "last_signed_in": None,
    }
    entry = AuditEntry.objects.get(kind="membership", action="create")
    assert entry.actor_name == "owner" and body["password"] not in str(entry.changes)


def test_without_a_role_one_only_sees(owner):
    made = owner("POST", "members", {"username": "grace"})
    assert (made.status_code, made.json()["role"], made.json()["email"]) == (201, "viewer", "")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "username"),
        ({"username": "OWNER"}, "username"),
        ({"username": "\uff4f\uff57\uff4e\uff45\uff52"}, "username"),
        ({"username": "\ufdfa" * 20}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "grace", "email": "nonsense"}, "email"),
        ({"username": "grace", "role": "king"}, "role"),
        ({"username": "grace", "password": "mine"}, "password"),
    ],
)
def test_what_is_wrong_is_said(owner, body, field):
    answer = owner("POST", "members", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert Membership.objects.count() == len(Role)


def test_a_role_is_changed_by_who_saw_it(owner):
    pk = pk_of(Role.VIEWER)
    seen = etag(owner, pk)
    assert owner("PATCH", f"members/{pk}", {"role": "publisher"}).status_code == 428
    assert owner("PATCH", f"members/{pk}", {"role": "publisher"}, match=seen).json()["role"] == "publisher"
    assert owner("PATCH", f"members/{pk}", {"role": "viewer"}, match=seen).status_code == 412
    assert owner("PATCH", f"members/{pk}", {"username": "x"}, match="*").status_code == 400


def test_who_is_not_active_is_out_with_all_tokens(owner, callers):
    pk = pk_of(Role.EDITOR)
    assert callers[Role.EDITOR]("GET", "apis").status_code == 200
    answer = owner("PATCH", f"members/{pk}", {"active": False}, match=etag(owner, pk))
    assert answer.json()["active"] is False
    assert callers[Role.EDITOR]("GET", "apis").status_code == 401


@pytest.mark.parametrize(
    ("method", "body"), [("PATCH", {"role": "editor"}), ("PATCH", {"active": False}), ("DELETE", None)]
)
def test_the_last_owner_stays_until_there_is_another(owner, method, body):
    pk = pk_of(Role.OWNER)
    answer = owner(method, f"members/{pk}", body, match="*")
    assert answer.status_code == 409 and "last owner" in answer.json()["detail"]
    assert Membership.objects.get(pk=pk).role == Role.OWNER
    owner("POST", "members", {"username": "grace", "role": "owner"})
    assert owner(method, f"members/{pk}", body, match="*").status_code in (200, 204)
    assert owner("GET", "members").status_code in (401, 403)


def test_removing_a_member_leaves_the_account_without_a_role(owner, django_user_model):
    pk = pk_of(Role.VIEWER)
    assert owner("DELETE", f"members/{pk}").status_code == 428
    assert owner("DELETE", f"members/{pk}", match=etag(owner, pk)).status_code == 204
    assert django_user_model.objects.get(username="viewer").is_active
    assert not Membership.objects.filter(pk=pk).exists()
    assert AuditEntry.objects.filter(kind="membership", action="delete", object_name="viewer").exists()


def test_a_new_password_takes_the_place_of_the_old(owner, members):
    before = members[Role.VIEWER].password
    answer = owner("POST", f"members/{pk_of(Role.VIEWER)}/password", {})
    assert authenticate(username="viewer", password=answer.json()["password"])
    members[Role.VIEWER].refresh_from_db()
    assert members[Role.VIEWER].password != before


def test_nobody_below_learns_who_the_members_are(callers):
    for role in (Role.VIEWER, Role.EDITOR, Role.PUBLISHER):
        answer = callers[role]("GET", "members")
        assert answer.status_code == 403 and "@" not in answer.content.decode()
    assert ApiToken.objects.exists()
