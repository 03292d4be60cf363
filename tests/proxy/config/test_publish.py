"""Draft, publish, Revision, rollback, on a real database."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from django.db import connection

from proxy.config import document as d
from proxy.config.apply import Refused, write_draft
from proxy.config.draft import draft_document
from proxy.config.publish import (
    PublishRefused,
    check_draft,
    compile_revision,
    live_document,
    live_revision,
    publish,
    rollback,
)
from proxy.config.snapshot import PathMatch, Redirect, Target, Upstream, ValueMatch
from proxy.models import Api, App, Plan, Policy, Revision, Route, Subscription
from proxy.models import Upstream as UpstreamRow

pytestmark = [pytest.mark.django_db, pytest.mark.database]

SHOP = d.canonical(
    d.Document(
        gateway=d.Gateway({"body_bytes": 1024}, ("10.0.0.0/8",), "forwarded"),
        upstreams=(
            Upstream("products", (Target("127.0.0.1", 9001), Target("::1", 9002, 5, "z", 1)), retries=2),
        ),
        plans=(d.Plan("gold", "Gold", approval="manual", policies=(d.Policy("request-size"),)),),
        apis=(
            d.Api(
                "shop",
                title="Shop",
                hosts=("shop.example.com",),
                base_path="/shop",
                tags=("x",),
                policies=(d.Policy("key-auth", position=3),),
                routes=(
                    d.Route(
                        "list",
                        PathMatch("prefix", "/products"),
                        methods=("GET",),
                        headers=(ValueMatch("x-a", "1"),),
                        upstream="products",
                        policies=(d.Policy("acl", "only-staff", "observe", config={"allow": ["staff"]}),),
                    ),
                    d.Route("gone", PathMatch("exact", "/old"), redirect=Redirect(301, path="/new")),
                ),
            ),
            d.Api("draft", lifecycle="draft", routes=(d.Route("later", upstream="products"),)),
        ),
        policies=(d.Policy("cors"),),
    )
)


def change(struct, **values):
    return msgspec.structs.replace(struct, **values)


def test_a_document_survives_the_database():
    write_draft(SHOP)
    assert draft_document() == SHOP


def test_writing_again_changes_no_row():
    write_draft(SHOP)
    before = list(Route.objects.values_list("id", "edition", "updated_at"))
    write_draft(SHOP)
    assert list(Route.objects.values_list("id", "edition", "updated_at")) == before
    assert set(Api.objects.values_list("edition", flat=True)) == {0}


def test_rows_keep_their_identity_and_change_their_edition():
    write_draft(SHOP)
    row = Route.objects.get(name="list")
    shop = SHOP.apis[0]
    write_draft(
        change(SHOP, apis=(change(shop, routes=(change(shop.routes[0], methods=("PUT",)),)), SHOP.apis[1]))
    )
    again = Route.objects.get(name="list")
    assert (again.id, again.edition, again.created_at) == (row.id, row.edition + 1, row.created_at)
    assert not Route.objects.filter(name="gone").exists()


def test_the_order_of_routes_is_the_files():
    shop = SHOP.apis[0]
    write_draft(SHOP)
    turned = change(SHOP, apis=(SHOP.apis[1], change(shop, routes=shop.routes[::-1])))
    write_draft(turned)
    assert draft_document() == turned


def test_a_new_route_goes_behind_the_others():
    write_draft(SHOP)
    Route.objects.create(api=Api.objects.get(slug="shop"), name="newest", redirect={"status": 301})
    Route.objects.create(api=Api.objects.get(slug="shop"), name="even-newer", redirect={"status": 301})
    names = [route.name for route in draft_document().apis[0].routes]
    assert names == ["list", "gone", "newest", "even-newer"]


def test_labels_can_change_places():
    write_draft(change(SHOP, policies=(d.Policy("cors", "a"), d.Policy("key-auth", "b"))))
    swapped = d.canonical(change(SHOP, policies=(d.Policy("cors", "b"), d.Policy("key-auth", "a"))))
    write_draft(swapped)
    assert draft_document() == swapped


def test_an_empty_document_empties_the_draft():
    write_draft(SHOP)
    write_draft(d.Document())
    assert draft_document() == d.Document()
    assert not Policy.objects.exists() and not UpstreamRow.objects.exists()


def test_publishing_stores_and_compiles():
    write_draft(SHOP)
    published = publish("first", "ada")
    revision = live_revision()
    assert revision == published.revision
    assert (revision.number, revision.note, revision.author) == (1, "first", "ada")
    assert "+ route list" in revision.changes
    snapshot = compile_revision(revision)
    assert snapshot.revision == 1
    assert [(route.name, route.path.value, route.hosts, route.order) for route in snapshot.routes] == [
        ("list", "/shop/products", ("shop.example.com",), 0),
        ("gone", "/shop/old", ("shop.example.com",), 1),
    ]
    assert snapshot.limits.body_bytes == 1024
    assert live_document() == SHOP


def test_numbers_rise():
    assert [publish().revision.number for _ in range(3)] == [1, 2, 3]


def test_a_broken_draft_is_refused_whole():
    write_draft(SHOP)
    publish()
    Route.objects.filter(name="list").update(path="no-slash", methods=["get"])
    UpstreamRow.objects.get(name="products").targets.all().delete()
    with pytest.raises(PublishRefused) as caught:
        publish()
    assert {(problem.object, problem.field) for problem in caught.value.problems} == {
        ("route list", "path.value"),
        ("route list", "methods"),
        ("upstream products", "targets"),
    }
    assert Revision.objects.count() == 1
    assert check_draft().problems == caught.value.problems


def test_a_row_past_validation_is_refused():
    write_draft(SHOP)
    Route.objects.filter(name="list").update(headers="nonsense")
    with pytest.raises(PublishRefused, match="past validation"):
        publish()


def test_check_draft_tells_the_changes():
    write_draft(SHOP)
    publish()
    assert check_draft() == ([], [], [])
    Plan.objects.create(name="free")
    assert [str(item) for item in check_draft().changes] == ["+ plan free"]


def test_rolling_back_restores_draft_and_live():
    write_draft(SHOP)
    publish()
    write_draft(d.Document())
    publish()
    published = rollback(1, "ada")
    assert published.revision.number == 3
    assert published.revision.note == "Rollback to revision 1"
    assert live_document() == draft_document() == SHOP
    assert published.revision.digest == Revision.objects.get(number=1).digest


def test_rolling_back_to_nothing():
    with pytest.raises(Revision.DoesNotExist):
        rollback(5)


def test_rolling_back_keeps_what_subscriptions_are_to():
    publish()
    write_draft(SHOP)
    app = App.objects.create(name="mobile")
    api, plan = Api.objects.get(slug="shop"), Plan.objects.get(name="gold")
    Subscription.objects.create(app=app, api=api, plan=plan, status="accepted")
    Policy.objects.create(name="request-size", scope="consumer", app=app)
    publish()
    rollback(1)
    assert Subscription.objects.count() == 1
    assert Api.objects.get().lifecycle == "retired" and not Route.objects.exists()


def test_rolling_back_a_plan_that_stays_is_sold_on_what_there_is_then():
    Api.objects.create(slug="shop")
    publish()
    gold, late = Plan.objects.create(name="gold"), Api.objects.create(slug="late")
    gold.apis.set([late, Api.objects.get(slug="shop")])
    Subscription.objects.create(
        app=App.objects.create(name="mobile"), api=Api.objects.get(slug="shop"), plan=gold
    )
    publish()
    rollback(1)
    assert draft_document().plans == (d.Plan("gold", apis=("shop",)),)


def test_what_a_plan_is_sold_on_is_written_published_and_told_as_a_difference():
    write_draft(SHOP)
    plan = Plan.objects.get()
    assert sorted(plan.apis.values_list("slug", flat=True)) == ["draft", "shop"]
    publish()
    narrow = change(SHOP, plans=(change(SHOP.plans[0], apis=("shop",)),))
    write_draft(narrow)
    assert draft_document() == narrow
    assert Plan.objects.get().edition > plan.edition
    (told,) = check_draft().changes
    assert told.object == "plan gold" and told.details == ('apis: removed ["draft"]',)
    write_draft(change(narrow, plans=(change(narrow.plans[0], apis=()),)))
    assert draft_document().plans[0].apis == () and not Plan.objects.get().apis.exists()


def test_a_revision_of_before_plans_named_their_apis_sells_them_on_all():
    write_draft(SHOP)
    row = publish().revision
    raw = msgspec.json.decode(row.document)
    del raw["plans"][0]["apis"]
    Revision.objects.update(document=msgspec.json.encode(raw).decode())
    assert live_document().plans[0].apis == ("draft", "shop")
    assert check_draft().changes == []


def test_rolling_back_leaves_out_policies_of_apps_that_are_gone():
    app = App.objects.create(name="mobile")
    Policy.objects.create(name="request-size", scope="consumer", app=app)
    publish()
    app.delete()
    publish()
    assert rollback(1).revision.number == 3
    assert draft_document().policies == ()


def test_applying_does_not_take_a_plan_from_its_subscribers():
    write_draft(SHOP)
    api, plan = Api.objects.get(slug="shop"), Plan.objects.get(name="gold")
    Subscription.objects.create(app=App.objects.create(name="mobile"), api=api, plan=plan)
    with pytest.raises(Refused) as caught:
        write_draft(d.Document())
    assert [problem.object for problem in caught.value.problems] == ["api shop", "plan gold"]
    assert draft_document() == SHOP


def test_a_revision_that_cannot_be_read_stops_nobody_from_publishing():
    publish()
    Revision.objects.update(document='{"apis": 5}')
    with pytest.raises(PublishRefused, match="cannot be read"):
        compile_revision(live_revision())
    assert publish().revision.number == 2


def test_publishing_takes_a_fixed_number_of_queries(django_assert_max_num_queries):
    routes = tuple(d.Route(f"r{n}", PathMatch("exact", f"/{n}"), upstream="products") for n in range(300))
    write_draft(change(SHOP, plans=(), apis=(d.Api("many", routes=routes),)))
    with django_assert_max_num_queries(25):
        publish()


@pytest.fixture
def own_database(tmp_path):
    """Environment of processes that share a database of their own, of the kind that the tests run on."""
    environment = {**os.environ, "TIDEGATE_DATA": str(tmp_path)}
    if connection.vendor != "postgresql":
        yield environment
        return
    url = os.environ["DATABASE_URL"]
    name = f"tidegate_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield {**environment, "DATABASE_URL": urlsplit(url)._replace(path=f"/{name}").geturl()}
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_publishes_that_meet_come_one_after_the_other(own_database):
    """Real processes, started at once."""
    run = [sys.executable, "manage.py"]
    subprocess.run([*run, "migrate", "-v0"], env=own_database, check=True, timeout=60)
    command = [*run, "config", "publish"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [subprocess.Popen(command, env=own_database, **pipes) for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in started]
    assert sorted(text.split(":")[0] for text in outputs) == [f"Published revision {n}" for n in (1, 2, 3, 4)]
