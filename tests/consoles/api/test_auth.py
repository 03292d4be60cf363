"""Tokens and sessions."""

import datetime
import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consoles.models import ApiToken, AuditEntry, Membership, Role
from consoles.models.api_token import PREFIX, digest_of
from tests.consoles.api.conftest import Caller, make_token

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def browser(members):
    """A person signed in, with their CSRF token."""

    def sign_in(role):
        client = Client(enforce_csrf_checks=True)
        client.force_login(members[role])
        csrf = "a" * 32
        client.cookies["csrftoken"] = csrf
        caller = Caller()
        caller.client, caller.headers = client, {"x-csrftoken": csrf}
        return caller

    return sign_in


def test_a_token_is_shown_once_and_only_its_hash_is_kept(browser):
    made = browser(Role.EDITOR)("POST", "tokens", {"name": "ci", "scopes": ["read"], "role": "viewer"})
    assert made.status_code == 201, made.json()
    value = made.json()["token"]
    assert value.startswith(PREFIX)
    token = ApiToken.objects.get()
    assert bytes(token.digest) == digest_of(value) and (token.prefix, token.last_four) == (
        value[:8],
        value[-4:],
    )
    listed = browser(Role.EDITOR)("GET", "tokens")
    assert value not in listed.content.decode() and "token" not in listed.json()["results"][0]
    assert value not in repr(AuditEntry.objects.get().changes)
    assert Caller(value)("GET", "apis").status_code == 200
    assert Caller(value)("POST", "apis", {"slug": "a"}).status_code == 403


def test_nobody_gives_more_than_they_have(browser):
    viewer = browser(Role.VIEWER)
    above = viewer("POST", "tokens", {"name": "ci", "scopes": ["read"], "role": "owner"})
    assert (above.status_code, above.json()["errors"][0]["field"]) == (400, "role")
    for scopes in ([], ["all"], "read", ["read", "read"], None, [{}]):
        assert viewer("POST", "tokens", {"name": "ci", "scopes": scopes}).status_code == 400, scopes
    assert not ApiToken.objects.exists()


def test_each_sees_their_own_and_the_owner_all(browser, members):
    make_token(members[Role.EDITOR])
    token = ApiToken.objects.get()
    assert browser(Role.VIEWER)("GET", "tokens").json()["count"] == 0
    assert browser(Role.VIEWER)("POST", f"tokens/{token.pk}/revoke", {}).status_code == 404
    assert browser(Role.OWNER)("GET", "tokens").json()["count"] == 1
    revoked = browser(Role.OWNER)("POST", f"tokens/{token.pk}/revoke", {})
    assert revoked.status_code == 200 and revoked.json()["revoked_at"]


def test_tokens_that_are_no_good(members):
    user = members[Role.OWNER]
    old = make_token(user, expires_at=timezone.now() - datetime.timedelta(seconds=1))
    revoked = make_token(user)
    ApiToken.objects.get(digest=digest_of(revoked)).revoke()
    good = make_token(user)
    for value in (old, revoked, good[:-1], good + "x", "", "tga_é", "a" * 10_000):
        answer = Caller(value or " ")("GET", "apis")
        assert (answer.status_code, answer.json()["status"]) == (401, 401), value
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert value.strip() == "" or value not in answer.content.decode()
    assert Caller(good)("GET", "apis").status_code == 200


def test_a_token_is_looked_for_in_one_header_only(members):
    value = make_token(members[Role.OWNER])
    for path, headers in (
        (f"apis?token={value}", {}),
        ("apis", {"x_api_key": value}),
        ("apis", {"cookie": value}),
    ):
        assert Caller()("GET", path, **headers).status_code in (400, 401)
    basic = Caller()
    basic.headers = {"authorization": f"Basic {value}"}
    assert basic("GET", "apis").status_code == 401


def test_a_token_falls_with_its_account(members):
    caller = Caller(make_token(members[Role.PUBLISHER]))
    assert caller("POST", "draft/publish", {}).status_code == 201
    Membership.objects.filter(user=members[Role.PUBLISHER]).update(role=Role.VIEWER)
    assert caller("POST", "draft/publish", {}).status_code == 403
    members[Role.PUBLISHER].is_active = False
    members[Role.PUBLISHER].save()
    assert caller("GET", "apis").status_code == 401


def test_use_is_noted_but_not_on_every_call(members):
    caller = Caller(make_token(members[Role.VIEWER]))
    caller("GET", "apis")
    assert ApiToken.objects.get().last_used_at is not None
    with CaptureQueriesContext(connection) as queries:
        caller("GET", "apis")
    assert not [query for query in queries if query["sql"].startswith("UPDATE")]


def test_a_session_with_its_csrf_token(browser):
    editor = browser(Role.EDITOR)
    assert editor("POST", "apis", {"slug": "a"}).status_code == 201
    editor.headers = {}
    refused = editor("POST", "apis", {"slug": "b"})
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command("token", *arguments, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue()


def test_the_command(members):
    arguments = (
        "--user",
        "editor",
        "--scope",
        "read",
        "--scope",
        "write",
        "--role",
        "editor",
        "--expires",
        "90d",
    )
    value, _ = run("create", "ci", *arguments)
    assert Caller(value)("POST", "apis", {"slug": "a"}).status_code == 201
    assert value[-4:] in run("list")[0] and value not in run("list")[0]
    pk = str(ApiToken.objects.get().pk)
    run("revoke", pk)
    assert Caller(value)("GET", "apis").status_code == 401
    for wrong in (
        ("revoke", pk),
        ("revoke", "999"),
        ("create", "x", "--user", "nobody"),
        ("create", "x", "--user", "viewer", "--role", "owner"),
        ("create", "a" * 101, "--user", "viewer"),
    ):
        with pytest.raises(CommandError):
            run(*wrong)
