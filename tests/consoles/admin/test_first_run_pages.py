"""The first steps: what the forms make, what they refuse, who may, and where one goes on."""

import time

import pytest
from django.core.cache import cache
from django.urls import reverse

from consoles.first_run import calls, demo, steps, watch
from consoles.models import AuditEntry, Membership
from consoles.ui.node import NodeState
from proxy.config.publish import live_document, live_revision
from proxy.models import Api, App, Credential, Plan, Policy, Route, Subscription, Target, Upstream
from tests.analytics.traffic import record, spool
from tests.consoles.people import PASSWORD, browser, errors_of, member
from tests.consoles.world import make_world, taken_meanwhile

pytestmark = pytest.mark.django_db
START = "console:first-run"
GOOD = {"name": "Orders", "base_path": "/orders", "backend": "http://127.0.0.1:9000"}


@pytest.fixture(autouse=True)
def _nobody_has_tried():
    cache.clear()


@pytest.fixture
def node(tmp_path, settings):
    """A data directory of its own, to put calls into its spool."""
    settings.TIDEGATE_DATA = tmp_path
    return tmp_path / "node"


def add(who="paula", **fields):
    return browser(who).post(reverse(START), {**GOOD, **fields})


def made(who="paula"):
    add(who)
    return Api.objects.get(slug="orders")


def page(name, api, who="paula", part=False):
    headers = {"HX-Request": "true", "HX-Target": "watch"} if part else {}
    return browser(who).get(reverse(f"console:first-run-{name}", args=[api.pk]), headers=headers)


def do(name, api, who="paula", **fields):
    return browser(who).post(reverse(f"console:first-run-{name}", args=[api.pk]), fields)


def called(node, **fields):
    """Put a call into the spool, as a worker does."""
    fields = {"api": "orders", "route": "orders", "path": "/orders/1", "app": "", **fields}
    spool(node / "spool", [record(**fields)])


def test_three_lines_make_an_api_and_publish_it():
    answer = add(backend="https://orders.example.test/v2/")
    api = Api.objects.get()
    assert answer["Location"] == reverse("console:first-run-call", args=[api.pk])
    route, upstream, target = Route.objects.get(), Upstream.objects.get(), Target.objects.get()
    assert (api.slug, api.title, api.base_path) == ("orders", "Orders", "/orders")
    assert (route.upstream, route.strip_prefix, route.rewrite_path) == (upstream, True, "/v2")
    assert (upstream.protocol, target.host, target.port) == ("https", "orders.example.test", 443)
    assert live_revision().author == "paula" and live_document().apis[0].slug == "orders"
    kinds = AuditEntry.objects.values_list("action", "kind")
    assert sorted(kinds) == [
        ("create", "api"),
        ("create", "route"),
        ("create", "target"),
        ("create", "upstream"),
        ("publish", "revision"),
    ]


@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ({"name": ""}, "name", "required"),
        ({"name": "—"}, "name", "letter"),
        ({"base_path": "orders"}, "base_path", "/"),
        ({"base_path": "/shop"}, "base_path", "shop answers there already"),
        ({"name": "Shop"}, "name", "already exists"),
        ({"backend": "127.0.0.1:80"}, "backend", "http://"),
        ({"backend": "ftp://x"}, "backend", "http://"),
        ({"backend": "http://a:99999"}, "backend", "65535"),
        ({"backend": "http://u:p@a/"}, "backend", "only"),
        ({"backend": "http://[::1"}, "backend", "http://"),
        ({"backend": "http://not a host/"}, "backend", ""),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_stored(fields, field, word):
    make_world()
    before = (Api.objects.count(), Upstream.objects.count(), AuditEntry.objects.count())
    answer = add(**fields)
    assert answer.status_code == 422
    errors = errors_of(answer)
    assert list(errors) == [field] and word in " ".join(errors[field])
    assert before == (Api.objects.count(), Upstream.objects.count(), AuditEntry.objects.count())


def test_two_who_add_the_same_at_once():
    with taken_meanwhile(Upstream, name="orders"):
        answer = browser().post(
            reverse("console:first-run"),
            {"name": "Orders", "base_path": "/orders", "backend": "http://127.0.0.1:9"},
        )
    assert answer.status_code == 422 and "just taken" in answer.content.decode() and not Api.objects.exists()


def test_nothing_of_others_is_published_with_it():
    make_world()
    assert Upstream.objects.get().name == "orders"
    Plan.objects.create(name="half-done")
    revision = live_revision().number
    answer = browser("paula").post(reverse(START), GOOD, follow=True)
    assert live_revision().number == revision and Api.objects.filter(slug="orders").exists()
    assert "beside other unpublished changes" in answer.content.decode()
    assert Upstream.objects.filter(name="orders-2").exists()


def test_an_editor_leaves_it_in_the_draft_and_a_publisher_goes_on():
    api = made("eddie")
    assert live_revision() is None
    html = page("call", api, "eddie").content.decode()
    assert "not published" in html and "takes the role Publisher" in html
    answer = page("call", api)
    seen = answer.context["seen"]
    url, back = reverse("console:first-run-publish"), reverse("console:first-run-call", args=[api.pk])
    stale = browser("paula").post(url, {"seen": "x", "next": back})
    assert stale["Location"] == back and live_revision() is None
    assert browser("paula").post(url, {"seen": seen, "next": "https://evil.example/"})["Location"] == reverse(
        START
    )
    assert live_revision().number == 1


def test_a_viewer_reads_and_is_told_so():
    api = made()
    for name in ("protect", "limit", "portal"):
        html = page(name, api, "vera").content.decode()
        assert "takes the role Editor" in html and 'method="post" class="card"' not in html
    assert "takes the role Editor" in browser("vera").get(reverse(START)).content.decode()


def test_the_page_turns_green_when_the_call_is_in_the_spool(node):
    api = made()
    assert "Next: Protect it" not in page("call", api, part=True).content.decode()
    called(node)
    html = page("call", api, part=True).content.decode()
    assert "The call arrived" in html and "/orders/1" in html and "hx-trigger" not in html
    assert 'id="stepper"' in html and "Send a call<span" in html


ALIVE = type("Alive", (NodeState,), {"alive": ["worker"]})("node", [])


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"api": "", "route": "", "path": "/orders/", "status": 404, "code": "no-route"}, "base path"),
        ({"status": 404}, "backend itself"),
        ({"status": 502, "code": "upstream-unreachable", "state": 3}, "Nothing listens"),
        ({"status": 401, "code": "key-missing", "state": 1}, "asks for a key"),
    ],
)
def test_a_call_that_failed_is_explained(node, fields, word):
    api = made()
    called(node, **fields)
    seen = watch.first_call(calls.recent(api), ALIVE, 0)
    assert seen.state == "bad" and word in seen.detail and str(fields["status"]) in seen.headline


def test_calls_of_others_and_of_long_ago_are_no_matter(node):
    api = made()
    called(node, api="other", route="other")
    called(node, api="", route="", path="/ordersx", status=404, code="no-route")
    assert calls.recent(api) == []
    called(node, status=502, time=time.time() - 3600)
    assert watch.first_call(calls.recent(api), ALIVE, 0).state == "waiting"


def test_a_broken_segment_hides_nothing_else(node):
    api = made()
    called(node)
    (node / "spool" / f"node-7-{int(time.time() * 1e6)}-000001.seg").write_bytes(b"\xff" * 64)
    assert len(calls.recent(api)) == 1


def test_protecting_issues_a_key_that_is_shown_once(node):
    api = made()
    answer = do("protect", api, app="first-app")
    html = answer.content.decode()
    raw = answer.context["raw"]
    assert raw.startswith("tg_") and f"x-api-key: {raw}" in html.replace("&#x27;", "'")
    assert answer["Cache-Control"] == "no-store"
    policy = Policy.objects.get()
    assert (policy.name, policy.api) == ("key-auth", api) and live_revision().number == 2
    assert Credential.objects.get().app.name == "first-app"
    again = page("protect", api).content.decode()
    assert raw not in again and "YOUR-KEY" in again
    assert raw not in str(list(AuditEntry.objects.values()))
    called(node, status=401, state=1, code="key-missing")
    assert "refused with 401" in page("protect", api, part=True).content.decode()
    called(node, app="first-app")
    assert "A call with the key of first-app arrived" in page("protect", api, part=True).content.decode()


def test_another_key_leaves_the_policy_as_it_is():
    api = made()
    do("protect", api, app="first-app")
    do("protect", api, app="first-app")
    assert Policy.objects.count() == 1 == App.objects.count() and Credential.objects.count() == 2
    App.objects.update(active=False)
    assert errors_of(do("protect", api, app="first-app")) == {"app": ["This App is suspended."]}
    assert "app" in errors_of(do("protect", api, app="No Name!"))


def test_a_limit_of_a_chosen_number(node):
    api = made()
    assert "amount" in errors_of(do("limit", api, amount="0", period="minute"))
    assert "period" in errors_of(do("limit", api, amount="3", period="year"))
    do("limit", api, amount="3", period="hour")
    assert Policy.objects.get().config == {"limits": [{"amount": 3, "period": "hour"}], "by": "consumer"}
    html = page("limit", api).content.decode()
    assert "seq 4" in html and "3 calls in one hour" in html
    called(node, status=429, state=1, code="rate-limit-exceeded", rule="3/hour by ip")
    assert "refused with 429" in page("limit", api, part=True).content.decode()


def test_offering_it_makes_a_plan_and_keeps_callers_in(node):
    api = made()
    do("protect", api, app="first-app")
    called(node, app="first-app")
    fields = {
        "description": "What was ordered.",
        "plan": "",
        "title": "Free",
        "amount": "60",
        "approval": "auto",
    }
    assert "amount" in errors_of(do("portal", api, **{**fields, "amount": ""}))
    assert do("portal", api, **fields, subscription="on").status_code == 302
    api.refresh_from_db()
    plan = Plan.objects.get()
    assert (api.visibility, api.description) == ("public", "What was ordered.") and list(plan.apis.all()) == [
        api
    ]
    assert Subscription.objects.get().status == "accepted"
    assert set(Policy.objects.values_list("name", "scope")) == {
        ("key-auth", "api"),
        ("rate-limit", "plan"),
        ("acl", "api"),
    }
    assert live_document().apis[0].visibility == "public"
    assert reverse("portal:api", args=["orders"]) in page("portal", api).content.decode()
    assert browser("nobody").get(reverse("portal:api", args=["orders"])).status_code == 200


def test_a_plan_that_is_there_can_be_chosen():
    api = made()
    Plan.objects.create(name="gold", title="Gold")
    assert "title" in errors_of(do("portal", api, plan="", title="gold", amount="5", approval="auto"))
    assert "subscription" in errors_of(do("portal", api, plan="gold", subscription="on"))
    do("portal", api, plan="gold")
    assert Plan.objects.get().apis.get() == api


def sign_in(name, **more):
    user = member(name)
    user.set_password(PASSWORD)
    user.save()
    answer = browser("nobody").post(
        reverse("console:sign-in"), {"username": name, "password": PASSWORD, **more}
    )
    return answer["Location"]


def test_signing_in_lands_on_the_first_step_that_is_not_done(node):
    assert sign_in("olga") == reverse(START) == sign_in("olga", next=reverse("console:overview"))
    assert sign_in("vera") == reverse("console:overview")
    assert sign_in("olga", next=reverse("console:plans-list")) == reverse("console:plans-list")
    api = made("olga")
    assert sign_in("olga") == reverse("console:first-run-call", args=[api.pk])
    called(node)
    assert sign_in("olga") == reverse("console:first-run-protect", args=[api.pk])
    do("protect", api, app="first-app")
    called(node, app="first-app")
    do("limit", api, amount="3", period="hour")
    assert sign_in("olga") == reverse("console:first-run-portal", args=[api.pk])
    do("portal", api, plan="", title="Free", amount="60", approval="auto")
    assert sign_in("olga") == reverse("console:overview")
    api.delete()
    assert sign_in("olga") == reverse(START)
    browser("olga").post(reverse("console:first-run-done"))
    assert Membership.objects.get(user__username="olga").first_run_done
    assert sign_in("olga") == reverse("console:overview")
    assert "do not show this again" not in browser("olga").get(reverse(START)).content.decode()


def test_an_installation_in_use_has_no_first_run():
    make_world()
    Api.objects.create(slug="second", base_path="/second")
    assert sign_in("olga") == reverse("console:overview")


def test_an_api_that_is_gone_is_not_found():
    for name in ("call", "protect", "limit", "portal"):
        assert browser().get(reverse(f"console:first-run-{name}", args=[999])).status_code == 404
    for pk in ("999", "\u00b2", "x"):
        assert browser().get(reverse("console:first-run"), {"api": pk}).status_code == 200


def test_commands_are_safe_to_paste():
    api = Api.objects.create(slug="x", base_path="/x", hosts=["api.example.test"])
    command = steps.curl(api, "/'; rm -rf ~ #", "k")
    assert command.startswith("curl -H 'Host: api.example.test' -H 'x-api-key: k' '")
    assert "'\"'\"'; rm" in command
    loop = watch.loop_of("curl -i http://a", 1000, "-s -w %x")
    assert loop.startswith("for i in $(seq 101); do curl -s -w '%x' http")


def test_demo_traffic_says_what_is_missing(node):
    html = browser("eddie").get(reverse("console:demo-traffic")).content.decode()
    assert "No gateway runs on this machine" in html
    answer = browser("eddie").post(reverse("console:demo-traffic"), {"do": "start"}, follow=True)
    assert "No gateway runs" in answer.content.decode() and demo.last_run() is None
    assert "takes the role Editor" in browser("vera").get(reverse("console:demo-traffic")).content.decode()
