"""What is read in one view does not change while somebody ingests, and hinders nobody."""

from tests.analytics.test_exactly_once import own_database, run  # noqa: F401 - a fixture

READ_BETWEEN = """
import threading
import django
django.setup()
from django.db import connection
from analytics.ingest import Ingester
from analytics.models import RawRecord
from analytics.one_view import one_view
from analytics.questions import EVERYTHING, last
from analytics.queries import totals
from tests.analytics.traffic import record, spool

def ingest(name, count):
    folder = FOLDER / name
    spool(folder, [record() for _ in range(count)])
    thread = threading.Thread(target=lambda: (Ingester(folder, grace=0).run(), connection.close()))
    thread.start()
    thread.join()

def seen():
    return totals(last(3600, EVERYTHING)).count, RawRecord.objects.count()

ingest("one", 3)
with one_view():
    before = totals(last(3600, EVERYTHING)).count
    ingest("two", 2)
    assert (before, RawRecord.objects.count()) == seen() == (3, 3)
    with one_view():
        assert seen() == (3, 3)
assert seen() == (5, 5)
RawRecord.objects.all().delete()  # and one may write again
print("whole", getattr(connection, "transaction_mode", "IMMEDIATE"))
"""


def test_ingestion_is_not_seen_halfway(own_database, tmp_path):  # noqa: F811
    migrated = run(own_database, "manage.py", "migrate", "-v0")
    assert migrated.returncode == 0, migrated.stderr
    environment = {**own_database, "DJANGO_SETTINGS_MODULE": "gatewayproject.settings"}
    script = f"import pathlib\nFOLDER = pathlib.Path({str(tmp_path / 'spools')!r})\n{READ_BETWEEN}"
    done = run(environment, "-c", script)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["whole", "IMMEDIATE"]
