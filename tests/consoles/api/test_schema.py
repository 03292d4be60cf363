"""The OpenAPI document, and generated calls after it: whatever is sent, nothing breaks."""

import warnings

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings

from consoles.models import Role
from tests.consoles.api.conftest import ROOT, make_token, real_ids

pytestmark = [pytest.mark.django_db, pytest.mark.database]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.checks import CHECKS, load_all_checks

EXAMPLES = 6
"""Calls for each operation: a few hundred in all, some twenty seconds."""


@pytest.fixture
def document(callers):
    answer = callers[Role.VIEWER]("GET", "schema")
    assert answer.status_code == 200
    return answer.json()


def test_it_describes_every_operation(document):
    assert document["openapi"].startswith("3.1")
    operations = {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert len(operations) > 85
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for (path, method), operation in operations.items():
        assert operation["tags"] != ["Schema"] or path.endswith("/schema")
        assert "Needs the role" in operation["description"], (path, method)
        names = [parameter["name"] for parameter in operation.get("parameters", ())]
        assert ("If-Match" in names) == (method in ("put", "patch", "delete")), (path, method)


def test_requests_have_examples_and_refuse_what_they_do_not_name(document):
    schemas = document["components"]["schemas"]
    assert schemas["RouteRequest"]["additionalProperties"] is False
    assert schemas["RouteRequest"]["properties"]["headers"]["items"]["required"] == ["name"]
    for path in ("apis", "routes", "upstreams", "policies", "plans", "apps", "subscriptions", "certificates"):
        content = document["paths"][f"{ROOT}/{path}"]["post"]["requestBody"]["content"]["application/json"]
        assert content["examples"], path
    assert "key" not in schemas["Certificate"]["properties"]
    assert "key" not in schemas["Key"]["properties"]


def run(operation, call):
    """A bounded number of generated calls."""

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=operation.as_strategy())
    def calls(case):
        call(case)

    calls()


@pytest.fixture
def one_connection():
    """The calls see what the test's transaction holds, so its connection stays open after each of them."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.timeout(180)
def test_generated_calls_find_no_server_error(world, members, document, one_connection):
    load_all_checks()
    checks = [CHECKS.get_one(name) for name in ("not_a_server_error", "content_type_conformance")]
    headers = {"Authorization": f"Bearer {make_token(members[Role.OWNER])}", "If-Match": "*"}
    schema = schemathesis.openapi.from_dict(document)
    schema.app = get_wsgi_application()
    real = {**real_ids(world), "revisions": world.revision.number}
    called = {}

    def call(case):
        """Every other call is about an object that is there."""
        statuses = called.setdefault(case.operation.label, [])
        if len(statuses) % 2:
            noun = case.path.removeprefix(ROOT + "/").partition("/")[0]
            for name in ("id", "number"):
                if name in case.path_parameters and noun in real:
                    case.path_parameters[name] = real[noun]
        with transaction.atomic():
            answer = case.call(headers=headers)
            transaction.set_rollback(True)
        statuses.append(answer.status_code)
        case.validate_response(answer, checks=checks)

    for found in schema.get_all_operations():
        run(found.ok(), call)
    assert len(called) > 85
    reached = [label for label, statuses in called.items() if {200, 201, 204} & set(statuses)]
    assert len(reached) > 50, sorted(set(called) - set(reached))
