"""From the database to the store."""

import datetime

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from proxy.identity import sync as module
from proxy.identity.issue import issue_key, node_pepper, revoke_key
from proxy.identity.keys import PepperError, digest
from proxy.identity.store import IdentityStore
from proxy.identity.sync import IdentitySync
from proxy.models import Api, App, Credential, Developer, IdentityRemoval, IdentityVersion, Plan, Subscription

pytestmark = [pytest.mark.django_db, pytest.mark.database]
DAY = datetime.timedelta(days=1)


@pytest.fixture
def store(tmp_path):
    store = IdentityStore(tmp_path / "identity", pepper=node_pepper(), writable=True)
    yield store
    store.close()


@pytest.fixture
def sync(store):
    sync = IdentitySync(store)
    sync.run_once()
    return sync


@pytest.fixture
def app():
    return App.objects.create(name="shop", groups=["gold"])


def issue(app, **options):
    credential, raw = issue_key(app, **options)
    return credential, raw.encode()


def test_an_issued_key_arrives_and_a_second_run_has_nothing_to_do(store, sync, app):
    credential, raw = issue(app)
    assert sync.run_once() == 2
    found = store.lookup(raw)
    assert (found.credential_id, found.app_id, found.app) == (str(credential.pk), str(app.pk), "shop")
    assert found.groups == ("gold",) and found.expires == 0.0
    assert sync.run_once() == 0


def test_without_a_change_it_costs_one_query(sync, app, django_assert_num_queries):
    sync.run_once()
    sync.run_once()
    with django_assert_num_queries(1):
        assert sync.run_once() == 0


def test_a_revoked_key_goes(store, sync, app):
    credential, raw = issue(app)
    sync.run_once()
    revoke_key(credential)
    sync.run_once()
    assert store.why(raw) == "unknown" and store.counts()[0] == 0


def test_a_deleted_credential_and_a_deleted_app_go(store, sync, app):
    first, raw = issue(app)
    _, other = issue(app)
    sync.run_once()
    first.delete()
    sync.run_once()
    assert store.lookup(raw) is None and store.lookup(other) is not None
    App.objects.all().delete()
    sync.run_once()
    assert store.lookup(other) is None and store.counts() == (0, 0)


def test_a_suspended_app_or_developer_suspends_the_keys(store, sync, app):
    developer = Developer.objects.create(email="dev@example.org")
    app.developer = developer
    app.save()
    _, raw = issue(app)
    sync.run_once()
    assert store.why(raw) == "ok"
    developer.active = False
    developer.save()
    sync.run_once()
    assert store.why(raw) == "suspended"
    developer.active = True
    developer.save()
    App.objects.filter(pk=app.pk).update(active=False)
    sync.run_once()
    assert store.why(raw) == "suspended"


def test_accepted_subscriptions_make_the_plans(store, sync, app):
    api = Api.objects.create(slug="products")
    gold, basic = Plan.objects.create(name="gold"), Plan.objects.create(name="basic")
    subscription = Subscription.objects.create(app=app, api=api, plan=gold)
    _, raw = issue(app)
    sync.run_once()
    assert store.lookup(raw).plans == {}
    subscription.status = "accepted"
    subscription.save()
    sync.run_once()
    assert store.lookup(raw).plans == {"products": "gold"}
    subscription.plan = basic
    subscription.save()
    sync.run_once()
    assert store.lookup(raw).plans == {"products": "basic"}
    api.slug = "goods"
    api.save()
    basic.name = "plain"
    basic.save()
    sync.run_once()
    assert store.lookup(raw).plans == {"goods": "plain"}
    subscription.delete()
    sync.run_once()
    assert store.lookup(raw).plans == {}


def test_a_key_that_expired_long_ago_is_dropped_in_time(store, app):
    now = timezone.now()
    _, recent = issue(app, expires_at=now - DAY)
    _, old = issue(app, expires_at=now - 8 * DAY)
    sync = IdentitySync(store)
    sync.run_once()
    assert store.why(recent) == "expired" and store.why(old) == "unknown"
    aging, raw = issue(app, expires_at=now - 6 * DAY)
    sync.run_once()
    assert store.counts()[0] == 2
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proxy_credential SET expires_at = %s WHERE id = %s", [now - 9 * DAY, aging.pk])
    sync._kept = 0.0
    sync._purged = None
    sync.run_once()
    assert store.counts()[0] == 1 and store.why(raw) == "unknown"


def test_a_fresh_node_gets_everything_in_batches(store, app, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 7)
    monkeypatch.setattr(module, "APPS_AT_ONCE", 3)
    apps = [App.objects.create(name=f"app-{number}") for number in range(10)]
    raws = [issue(one)[1] for one in apps for _ in range(3)]
    assert IdentitySync(store).run_once() == 11 + 30
    assert all(store.lookup(raw) is not None for raw in raws)
    assert store.version() == IdentityVersion.current().number


def test_many_changes_are_committed_in_batches(store, sync, app, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 5)
    raws = [b"foreign-key-%d" % number for number in range(23)]
    rows = [Credential(app=app, digest=digest(raw, node_pepper())) for raw in raws]
    Credential.objects.bulk_create(rows)
    commits = []
    apply = store.apply
    monkeypatch.setattr(
        store, "apply", lambda changes, version=None: (commits.append(version), apply(changes, version))
    )
    assert sync.run_once() == 24
    assert all(store.lookup(raw) is not None for raw in raws)
    assert commits[:-1] == [None] * (len(commits) - 1) and len(commits) >= 4
    assert commits[-1] == store.version() == IdentityVersion.current().number


def test_one_that_is_cut_off_between_batches_is_made_good_by_the_next(store, sync, app, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 5)
    before = store.version()
    raws = [b"foreign-key-%d" % number for number in range(23)]
    Credential.objects.bulk_create([Credential(app=app, digest=digest(raw, node_pepper())) for raw in raws])
    apply, left = store.apply, [2]

    def dying(changes, version=None):
        left[0] -= 1
        if left[0] < 0:
            raise DatabaseError("cut off")
        apply(changes, version)

    with monkeypatch.context() as patch:
        patch.setattr(store, "apply", dying)
        with pytest.raises(DatabaseError):
            sync.run_once()
    assert store.version() == before
    IdentitySync(store).run_once()
    assert all(store.lookup(raw) is not None for raw in raws)


def test_a_database_error_leaves_the_store_as_it_is(store, sync, app):
    _, raw = issue(app)
    sync.run_once()
    version = store.version()

    def broken(execute, sql, params, many, context):
        if "proxy_credential" in sql:
            raise DatabaseError("gone")
        return execute(sql, params, many, context)

    issue(app)
    IdentityVersion.renew()
    with connection.execute_wrapper(broken), pytest.raises(DatabaseError):
        sync.run_once()
    assert store.version() == version and store.lookup(raw) is not None


def test_a_database_that_went_back_is_copied_anew(store, sync, app):
    _, raw = issue(app)
    _, lost = issue(app)
    sync.run_once()
    Credential.objects.filter(digest=digest(lost, node_pepper()))._raw_delete("default")
    IdentityVersion.objects.update(number=1)
    assert sync.run_once() == 2
    assert store.version() == 1
    assert store.lookup(raw) is not None and store.lookup(lost) is None


def test_another_database_is_copied_anew(store, sync, app):
    _, raw = issue(app)
    sync.run_once()
    Credential.objects.all()._raw_delete("default")
    IdentityVersion.renew()
    sync.run_once()
    assert store.lookup(raw) is None
    assert store.origin() == str(IdentityVersion.current().database)


def test_a_node_that_was_away_while_removals_were_forgotten_copies_anew(store, sync, app):
    credential, raw = issue(app)
    sync.run_once()
    credential.delete()
    App.objects.create(name="other")
    assert IdentityRemoval.prune(datetime.timedelta(0)) == 1
    sync.run_once()
    assert store.lookup(raw) is None and store.counts() == (0, 2)


def test_a_node_with_another_pepper_says_so_and_keeps_what_it_has(tmp_path, app):
    issue(app)
    other = IdentityStore(tmp_path / "other", pepper=b"\x07" * 32, writable=True)
    with pytest.raises(PepperError):
        IdentitySync(other).run_once()
    assert other.version() == 0
    other.close()


def test_a_key_moved_to_another_app_in_bulk_arrives(store, sync, app):
    _, raw = issue(app)
    sync.run_once()
    other = App.objects.create(name="other")
    Credential.objects.update(app=other)
    sync.run_once()
    assert store.lookup(raw).app == "other"
