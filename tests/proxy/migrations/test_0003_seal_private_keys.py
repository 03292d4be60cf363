"""Private keys of before they were sealed."""

import msgspec
import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
BEFORE, AFTER = ("proxy", "0002_plan_apis"), ("proxy", "0003_seal_private_keys")
KEY = "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n"


def migrate(*targets):
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets))
    return executor.loader.project_state(list(targets)).apps


def stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM proxy_certificate")
        keys = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT document FROM proxy_revision ORDER BY number")
        return keys, [row[0] for row in cursor.fetchall()]


def test_they_are_sealed_and_unsealed_again():
    latest = [node for node in MigrationExecutor(connection).loader.graph.leaf_nodes() if node[0] == "proxy"]
    whole = {"apis": [{"slug": "shop"}], "certificates": [{"name": "a", "chain": "c", "key": KEY}]}
    documents = [msgspec.json.encode(whole).decode(), "{}", '{"certificates": broken']
    try:
        old = migrate(BEFORE)
        old.get_model("proxy", "Certificate").objects.create(name="a", chain="c", key=KEY)
        for number, document in enumerate(documents, 1):
            old.get_model("proxy", "Revision").objects.create(number=number, document=document, digest="")
        migrate(AFTER)
        keys, found = stored()
        assert keys[0].startswith("sealed:1:") and "sealed:1:" in found[0]
        assert "PRIVATE" not in repr((keys, found)) and "MC4C" not in repr((keys, found))
        assert found[1:] == documents[1:]
        migrate(BEFORE)
        assert stored() == ([KEY], documents)
    finally:
        migrate(BEFORE)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM proxy_certificate")
        migrate(*latest)
