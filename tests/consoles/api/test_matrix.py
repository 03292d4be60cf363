"""Role × address × method: every route of the API has a row here that says who may."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern

from consoles.api import urls
from consoles.models import AuditEntry, Membership, Role
from consoles.models.api_token import Scope
from tests.consoles.api.conftest import ROOT, Caller, make_token, real_ids

pytestmark = [pytest.mark.django_db, pytest.mark.database]

VIEWER, EDITOR, PUBLISHER = Role.VIEWER, Role.EDITOR, Role.PUBLISHER
READ, WRITE, PUBLISH, KEYS, MEMBERS = Scope.READ, Scope.WRITE, Scope.PUBLISH, Scope.KEYS, Scope.MEMBERS
OWNER = Role.OWNER
MAX_QUERIES = 30
WHOLE_DRAFT = 60
"""Going back rewrites the whole draft: more statements, but as many for two thousand Routes."""

_EDITED = {
    "list": {"GET": (VIEWER, READ), "POST": (EDITOR, WRITE)},
    "detail": {
        "GET": (VIEWER, READ),
        "PUT": (EDITOR, WRITE),
        "PATCH": (EDITOR, WRITE),
        "DELETE": (EDITOR, WRITE),
    },
}
MATRIX = {
    f"{noun}-{kind}": methods
    for noun in (
        "api",
        "route",
        "upstream",
        "target",
        "policy",
        "plan",
        "app",
        "subscription",
        "developer",
        "certificate",
    )
    for kind, methods in _EDITED.items()
}
MATRIX |= {
    "api-openapi": {"GET": (EDITOR, READ)},  # of one that is not public; else a viewer may
    "policy-kind-list": {"GET": (VIEWER, READ)},
    "policy-kind-detail": {"GET": (VIEWER, READ)},
    "key-list": {"GET": (VIEWER, READ), "POST": (EDITOR, KEYS)},
    "key-detail": {"GET": (VIEWER, READ), "PUT": (EDITOR, KEYS), "PATCH": (EDITOR, KEYS)},
    "key-roll": {"POST": (EDITOR, KEYS)},
    "key-revoke": {"POST": (EDITOR, KEYS)},
    **{
        f"subscription-{verb}": {"POST": (EDITOR, WRITE)}
        for verb in ("approve", "reject", "pause", "resume", "close")
    },
    "gateway": {"GET": (VIEWER, READ), "PUT": (EDITOR, WRITE), "PATCH": (EDITOR, WRITE)},
    "revision-list": {"GET": (VIEWER, READ)},
    "revision-detail": {"GET": (VIEWER, READ)},
    "revision-document": {"GET": (EDITOR, READ)},
    "revision-rollback": {"POST": (PUBLISHER, PUBLISH)},
    "draft-validate": {"GET": (VIEWER, READ)},
    "draft-diff": {"GET": (VIEWER, READ)},
    "draft-publish": {"POST": (PUBLISHER, PUBLISH)},
    "match": {"POST": (VIEWER, READ)},
    "audit-list": {"GET": (EDITOR, READ)},
    "audit-detail": {"GET": (EDITOR, READ)},
    "token-list": {"GET": (VIEWER, None), "POST": (VIEWER, None)},
    "token-detail": {"GET": (VIEWER, None)},
    "token-revoke": {"POST": (VIEWER, None)},
    **{
        f"analytics-{name}": {"GET": (VIEWER, READ)}
        for name in ("totals", "top", "errors", "timeline", "latency")
    },
    "member-list": {"GET": (OWNER, MEMBERS), "POST": (OWNER, MEMBERS)},
    "member-detail": dict.fromkeys(("GET", "PUT", "PATCH", "DELETE"), (OWNER, MEMBERS)),
    "member-password": {"POST": (OWNER, MEMBERS)},
    "traffic": {"GET": (VIEWER, READ)},
    "traffic-record": {"GET": (VIEWER, READ)},
    "schema": {"GET": (VIEWER, READ)},
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def routes():
    """Name and template of every address but the catch-all."""
    return {
        pattern.name: str(pattern.pattern)
        for pattern in urls.urlpatterns
        if isinstance(pattern, URLPattern) and pattern.name != "not-found"
    }


def address(template, world):
    """The address with the ids of real objects in it."""
    noun = template.split("/")[0]
    entry = AuditEntry.objects.create(actor_name="ada", action="create", kind="api", object_name="shop")
    ids = {
        **real_ids(world),
        "audit": entry.pk,
        "tokens": 1,
        "members": Membership.objects.filter(role=VIEWER).values_list("pk", flat=True).first(),
    }
    pk = world.target.pk if "targets" in template else ids.get(noun, 0)
    return "/" + template.replace("<int:upstream_pk>", str(world.upstream.pk)).replace(
        "<int:pk>", str(pk)
    ).replace("<int:number>", str(world.revision.number)).replace("<str:name>", "key-auth")


def call(caller, method, path):
    """The status, within the budget of queries."""
    with CaptureQueriesContext(connection) as queries:
        status = caller(method, ROOT + path, {} if method in ("POST", "PUT", "PATCH") else None).status_code
    assert len(queries) <= (WHOLE_DRAFT if path.endswith("/rollback") else MAX_QUERIES), (
        method,
        path,
        len(queries),
    )
    return status


def test_every_address_has_a_row_and_every_row_an_address():
    assert set(routes()) == set(MATRIX)


@pytest.mark.parametrize("name", sorted(MATRIX))
def test_who_may(name, world, callers, members):
    path = address(routes()[name], world)
    stranger = Caller()
    for method in METHODS:
        needed = MATRIX[name].get(method)
        if needed is None:
            assert call(callers[Role.OWNER], method, path) == 405, method
            assert call(stranger, method, path) in (401, 405), method
            continue
        role, scope = needed
        assert call(stranger, method, path) == 401, method
        for other, caller in callers.items():
            status = call(caller, method, path)
            assert (status == 403) == (other < role or scope is None), (method, other, status)
            assert status not in (401, 405), (method, other, status)
        for one in Scope:
            status = call(Caller(make_token(members[Role.OWNER], scopes=[one])), method, path)
            assert (status == 403) == (one != scope), (method, one, status)
        capped = call(Caller(make_token(members[Role.OWNER], role=VIEWER)), method, path)
        assert (capped == 403) == (role > VIEWER or scope is None), (method, capped)


@pytest.mark.parametrize("name", sorted(MATRIX))
def test_a_session_changes_nothing_without_its_csrf_token(name, world, members):
    path = address(routes()[name], world)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(members[Role.OWNER])
    for method in MATRIX[name]:
        status = browser.generic(method, ROOT + path, b"{}", content_type="application/json").status_code
        assert (status == 403) == (method != "GET"), (method, status)


def test_an_account_that_is_no_member_may_nothing(world, members, django_user_model):
    user = django_user_model.objects.create_superuser("root")
    assert Caller(make_token(user))("GET", "apis").status_code == 401
    browser = Client()
    browser.force_login(user)
    for name, template in routes().items():
        for method in MATRIX[name]:
            path = ROOT + address(template, world)
            assert browser.generic(method, path, b"{}", content_type="application/json").status_code == 403


def test_outside_of_the_matrix_there_is_nothing(callers):
    answer = callers[Role.OWNER]("GET", "nothing/here")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
