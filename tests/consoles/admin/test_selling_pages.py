"""What is sold where: Plans, Apis, Subscriptions, and whether callers need one."""

import pytest
from django.urls import reverse

from consoles.models import AuditEntry
from proxy.models import Api, App, Plan, Policy, Route, Subscription, Upstream
from tests.consoles.people import browser

pytestmark = pytest.mark.django_db


def shop(slug="shop", **fields):
    return Api.objects.create(slug=slug, base_path=f"/{slug}", visibility="public", **fields)


def sold(name="gold", *apis):
    plan = Plan.objects.create(name=name)
    plan.apis.set(apis)
    return plan


def url(page, row=None):
    return reverse(f"console:{page}", args=[row.pk] if row else [])


def sent(**values):
    return {"name": "gold", "title": "", "approval": "auto", "description": "", **values}


def slugs(plan):
    return sorted(plan.apis.values_list("slug", flat=True))


def test_a_new_plan_is_sold_on_what_is_ticked():
    shop(), shop("stock")
    client = browser("eddie")
    page = client.get(url("plans-create") + "?apis=stock").content.decode()
    assert 'value="stock" checked' in page and 'value="shop">' in page
    assert client.post(url("plans-create"), sent(apis=["shop", "stock"])).status_code == 302
    plan = Plan.objects.get()
    assert slugs(plan) == ["shop", "stock"]
    entry = AuditEntry.objects.get(kind="plan")
    assert {"field": "apis", "before": None, "after": ["shop", "stock"]} in entry.changes


def test_a_plan_that_is_sold_nowhere_says_so():
    plan, client = sold(), browser("vera")
    for page in (url("plans-list"), url("plans-detail", plan)):
        assert "sold on no Api" in client.get(page).content.decode()
    plan.apis.add(shop())
    for page in (url("plans-list"), url("plans-detail", plan)):
        assert "sold on no Api" not in client.get(page).content.decode()


def test_of_many_apis_the_names_are_written_or_searched_for(django_assert_max_num_queries):
    Api.objects.bulk_create(Api(slug=f"api-{n:04}", base_path=f"/{n}") for n in range(2000))
    plan, client = sold("gold", *Api.objects.all()[:1990]), browser("eddie")
    with django_assert_max_num_queries(30):
        page = client.get(url("plans-edit", plan))
    assert "api-1989\n</textarea>" in page.content.decode() and "All 2000 Apis" in page.content.decode()
    found = client.get(
        reverse("console:pick", args=["apis"]) + "?find-apis=0042",
        headers={"HX-Request": "true", "HX-Target": "many-apis"},
    ).content.decode()
    assert 'data-pick="api-0042"' in found and "<html" not in found
    names = "\n".join(f"api-{n:04}" for n in range(10, 2000))
    with django_assert_max_num_queries(50):
        assert client.post(url("plans-edit", plan), sent(apis=names)).status_code == 302
    assert slugs(plan)[0] == "api-0010" and plan.apis.count() == 1990
    (change,) = AuditEntry.objects.filter(kind="plan").first().changes
    assert change["before"][0] == "api-0000" and change["before"][-1] == "… and 1980 more that are the same"
    client.post(url("plans-edit", plan), sent(apis=["*", "api-0001"]))
    assert plan.apis.count() == 2000


def test_an_api_that_there_is_not_is_named():
    shop()
    answer = browser("eddie").post(url("plans-create"), sent(apis="shop nowhere <b>x</b>"))
    assert answer.status_code == 422 and not Plan.objects.exists()
    assert "There is no Api called &lt;b&gt;x&lt;/b&gt;, nor 1 more of these." in answer.content.decode()


def test_taking_an_api_off_tells_who_has_subscribed_and_they_stay():
    api = shop()
    plan, client = sold("gold", api, shop("stock")), browser("eddie")
    Subscription.objects.create(app=App.objects.create(name="a"), api=api, plan=plan, status="accepted")
    asked = client.post(url("plans-edit", plan), sent(apis=["stock"]))
    assert asked.status_code == 422 and "shop (1)" in asked.content.decode()
    assert 'name="keep_subscriptions"' in asked.content.decode() and slugs(plan) == ["shop", "stock"]
    done = client.post(url("plans-edit", plan), sent(apis=["stock"], keep_subscriptions="on"))
    assert done.status_code == 302 and slugs(plan) == ["stock"]
    assert Subscription.objects.get().status == "accepted"
    assert client.post(url("plans-edit", plan), sent(apis=[])).status_code == 302


def test_two_who_edit_one_plan_lose_nothing():
    shop(), shop("stock")
    plan, client = sold("gold", Api.objects.get(slug="shop")), browser("eddie")
    seen = client.get(url("plans-edit", plan)).context["form"].seen
    client.post(url("plans-edit", plan), sent(apis=["shop", "stock"], seen=seen))
    other = sent(apis=["shop"], title="Gold", seen=seen)
    assert client.post(url("plans-edit", plan), other).status_code == 302
    plan.refresh_from_db()
    assert (plan.title, slugs(plan)) == ("Gold", ["shop", "stock"])


def test_the_form_of_an_api_has_its_plans():
    api, plan, client = shop(), sold(), browser("eddie")
    data = {"slug": "shop", "version": "v1", "base_path": "/shop", "lifecycle": "published"}
    data |= {"visibility": "public", "plans": ["gold"]}
    assert client.post(url("apis-edit", api), data).status_code == 302
    edition = Plan.objects.get().edition
    assert slugs(plan) == ["shop"] and edition > plan.edition
    assert "sold under no plan" not in client.get(url("apis-detail", api)).content.decode().lower()
    assert client.post(url("apis-edit", api), {**data, "plans": ["silver"]}).status_code == 422


def test_the_form_of_an_api_has_the_days_of_its_end():
    api, client = shop(), browser("eddie")
    data = {"slug": "shop", "version": "v1", "base_path": "/shop", "lifecycle": "deprecated"}
    data |= {"visibility": "public", "deprecated_at": "2026-01-01", "sunset_at": "2025-01-01"}
    assert "must not be before" in client.post(url("apis-edit", api), data).content.decode()
    data |= {"sunset_at": "2026-12-31", "documentation_url": "https://docs.example.test/move"}
    assert client.post(url("apis-edit", api), data).status_code == 302
    form = client.get(url("apis-edit", api)).content.decode()
    assert 'value="2026-12-31"' in form and "https://docs.example.test/move" in form
    assert "2026-12-31" in client.get(url("apis-detail", api)).content.decode()


def test_deleting_an_api_is_no_matter_of_its_plans_but_said():
    api = shop()
    sold("gold", api)
    page = browser("eddie").get(url("apis-delete", api)).content.decode()
    assert "taken off 1 Plan." in page and "relationship" not in page
    browser("eddie").post(url("apis-delete", api), {"confirm": "shop"})
    assert not Api.objects.exists() and Plan.objects.exists()


def test_nobody_subscribes_to_a_plan_where_it_is_not_sold():
    api, plan, app = shop(), sold(), App.objects.create(name="a")
    data = {"app": app.pk, "api": api.pk, "plan": plan.pk, "status": "accepted"}
    answer = browser("eddie").post(url("subscriptions-create"), data)
    assert answer.status_code == 422 and "gold is not sold on shop." in answer.content.decode()
    page = browser("eddie").get(url("subscriptions-create") + f"?api={api.pk}").content.decode()
    assert ">gold<" not in page
    plan.apis.add(api)
    assert browser("eddie").post(url("subscriptions-create"), data).status_code == 302


def open_api():
    api = shop()
    upstream = Upstream.objects.create(name="orders")
    Route.objects.create(api=api, name="orders", path="/orders", upstream=upstream)
    sold("gold", api)
    return api


def test_one_click_has_callers_subscribe():
    api, client = open_api(), browser("eddie")
    page = client.get(url("apis-detail", api)).content.decode()
    assert "needs no Subscription" in page and "Require a Subscription" in page
    client.post(url("apis-subscription", api))
    made = Policy.objects.order_by("pk").values_list("name", "scope", "api__slug", "config")
    assert list(made) == [("key-auth", "api", "shop", {}), ("acl", "api", "shop", {"subscription": True})]
    assert AuditEntry.objects.filter(kind="policy", action="create").count() == 2
    assert "needs no Subscription" not in client.get(url("apis-detail", api)).content.decode()
    client.post(url("apis-subscription", api))
    assert Policy.objects.count() == 2


def test_beside_other_rules_it_attaches_what_is_missing():
    api, client = open_api(), browser("eddie")
    Policy.objects.create(name="key-auth")
    Policy.objects.create(name="acl", scope="api", api=api, config={"allow": ["staff"]})
    client.post(url("apis-subscription", api))
    made = Policy.objects.latest("pk")
    assert (made.label, made.config) == ("subscription.api.shop", {"subscription": True})
    Policy.objects.filter(pk=made.pk).update(mode="observe")
    answer = client.post(url("apis-subscription", api), follow=True)
    assert "lets some through" in answer.content.decode() and Policy.objects.count() == 3


@pytest.mark.parametrize("scope", ["global", "route"])
def test_what_asks_elsewhere_is_enough(scope):
    api = open_api()
    route = Route.objects.get() if scope == "route" else None
    Policy.objects.create(name="acl", scope=scope, route=route, config={"subscription": True})
    assert "needs no Subscription" not in browser("vera").get(url("apis-detail", api)).content.decode()
    api.routes.create(name="more", path="/more", upstream=Upstream.objects.get())
    page = browser("vera").get(url("apis-detail", api)).content.decode()
    assert ("needs no Subscription" in page) == (scope == "route")
    assert "Require a Subscription" not in page.replace("“Require a Subscription”", "")
