"""Versions rise with every change, in the order of the commits."""

import datetime
import threading
import time

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from proxy.models import App, Credential, IdentityRemoval, IdentityVersion
from proxy.models.sync import next_version

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_a_new_database_gets_its_row_when_it_is_needed():
    assert not IdentityVersion.objects.exists()
    first = IdentityVersion.current()
    assert first.number == 0 and IdentityVersion.current().database == first.database
    assert next_version() == 1 and next_version() == 2


@pytest.mark.django_db(transaction=True)
def test_a_version_is_taken_inside_a_transaction_only():
    with pytest.raises(TransactionManagementError):
        next_version()
    with transaction.atomic():
        assert next_version() == 1
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        next_version()
        raise ZeroDivisionError
    with transaction.atomic():
        assert next_version() == 2


if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):  # SQLite has one writer at a time anyway

    @pytest.mark.django_db(transaction=True)
    def test_who_has_a_higher_version_commits_later():
        order = []
        taken = threading.Event()

        def second():
            taken.wait(10)
            with transaction.atomic():
                order.append(("second", next_version()))
            connection.close()

        thread = threading.Thread(target=second)
        thread.start()
        with transaction.atomic():
            first = next_version()
            taken.set()
            time.sleep(0.2)
            order.append(("first", first))
        thread.join(10)
        assert order == [("first", first), ("second", first + 1)]


def test_every_way_to_change_a_row_stamps_it():
    app = App.objects.create(name="shop")
    seen = [app.sync_version]

    def stamped():
        app.refresh_from_db()
        assert app.sync_version == IdentityVersion.current().number > seen[-1]
        seen.append(app.sync_version)

    app.title = "Shop"
    app.save()
    stamped()
    app.save(update_fields=["title"])
    stamped()
    App.objects.filter(pk=app.pk).update(title="The shop")
    stamped()
    App.objects.update_or_create(name="shop", defaults={"title": "Shop"})
    stamped()
    App.objects.bulk_update([app], ["title"])
    stamped()
    App.objects.all().touch()
    stamped()


def test_a_change_that_is_rolled_back_leaves_no_version():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        App.objects.create(name="shop")
        raise ZeroDivisionError
    assert IdentityVersion.current().number == 0


def test_many_rows_are_one_version():
    app = App.objects.create(name="shop")
    before = IdentityVersion.current().number
    rows = [Credential(app=app, digest=number.to_bytes(16, "big")) for number in range(1000)]
    Credential.objects.bulk_create(rows, batch_size=100)
    assert set(Credential.objects.values_list("sync_version", flat=True)) == {before + 1}


def test_what_is_deleted_leaves_a_trace():
    app = App.objects.create(name="shop")
    Credential.objects.create(app=app, digest=b"a" * 16)
    Credential.objects.create(app=app, digest=b"b" * 16)
    before = IdentityVersion.current().number
    Credential.objects.filter(digest=b"a" * 16).delete()
    app_id = str(app.pk).encode()
    app.delete()
    left = {(row.kind, bytes(row.key)) for row in IdentityRemoval.objects.filter(sync_version__gt=before)}
    assert left == {("credential", b"a" * 16), ("credential", b"b" * 16), ("app", app_id)}


def test_old_traces_are_forgotten_and_the_floor_says_up_to_where():
    for number in range(3):
        IdentityRemoval.record(IdentityRemoval.Kind.APP, str(number).encode())
    versions = list(IdentityRemoval.objects.order_by("pk").values_list("sync_version", flat=True))
    IdentityRemoval.objects.filter(sync_version__lte=versions[1]).update(
        created_at=timezone.now() - datetime.timedelta(days=40)
    )
    assert IdentityRemoval.prune(datetime.timedelta(days=30)) == 2
    assert IdentityVersion.current().floor == versions[1]
    assert IdentityRemoval.prune(datetime.timedelta(days=30)) == 0
    assert IdentityVersion.current().floor == versions[1]


def test_renewing_makes_it_another_database():
    before = IdentityVersion.current()
    IdentityVersion.renew()
    assert IdentityVersion.current().database != before.database
    assert IdentityVersion.current().number == before.number
