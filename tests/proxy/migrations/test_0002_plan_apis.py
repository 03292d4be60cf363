"""Plans of before they named their Apis."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def migrate(*targets):
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets))
    return executor.loader.project_state(list(targets)).apps


def test_every_plan_is_sold_on_every_api_as_before():
    latest = [node for node in MigrationExecutor(connection).loader.graph.leaf_nodes() if node[0] == "proxy"]
    try:
        old = migrate(("proxy", "0001_initial"))
        for slug in ("shop", "stock"):
            old.get_model("proxy", "Api").objects.create(slug=slug)
        for name in ("free", "gold"):
            old.get_model("proxy", "Plan").objects.create(name=name)
        new = migrate(("proxy", "0002_plan_apis"))
        plans = new.get_model("proxy", "Plan").objects
        sold = set(plans.values_list("name", "apis__slug"))
        assert sold == {(plan, api) for plan in ("free", "gold") for api in ("shop", "stock")}
    finally:
        migrate(*latest)
