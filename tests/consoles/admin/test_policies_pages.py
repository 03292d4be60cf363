"""The policy catalogue, the form made of each Config, and its YAML twin."""

import msgspec
import pytest
from django.urls import reverse

from consoles.ui.schema_form import fields_of
from proxy.models import Policy
from proxy.pipeline.registry import policies
from tests.consoles.people import browser, errors_of
from tests.consoles.world import make_world

pytestmark = pytest.mark.django_db
NEW = "console:policies-create"


def sent(form, **more):
    """What a browser would send of a policy form, unchanged but for `more`."""
    data = {"seen": form.seen, "name": form.kind.name, "as": form.show_as, "scope": form.scope}
    for name in form.fields:
        bound = form[name]
        if hasattr(bound.field, "fields"):  # rows
            rows = bound.value() or []
            data[f"{name}-rows"] = str(len(rows))
            for index, row in enumerate(rows):
                for part, field in bound.field.fields.items():
                    value = row.get(part, field.initial)
                    if value is not None and value is not False:
                        data[f"{name}-{index}-{part}"] = value
        elif bound.value() is True:
            data[name] = "on"
        elif bound.value() is not None and bound.value() is not False:
            data[name] = bound.field.prepare_value(bound.value())
    return {**data, **more}


def test_the_catalogue_lists_every_policy_with_its_purpose():
    page = browser("eddie").get(reverse(NEW)).content.decode()
    for name, kind in policies().items():
        assert name in page and f"name={name}" in page and kind.__doc__


@pytest.mark.parametrize("name", policies())
def test_every_config_has_a_field_for_every_setting(name):
    kind = policies()[name].Config
    assert list(fields_of(kind)) == [field.name for field in msgspec.structs.fields(kind)]
    assert all(field.help_text for field in fields_of(kind).values())


@pytest.mark.parametrize("name", policies())
def test_every_policy_has_a_form_that_can_be_sent_back(name):
    client = browser("eddie")
    page = client.get(reverse(NEW), {"name": name, "scope": "global"})
    assert page.status_code == 200
    answer = client.post(reverse(NEW), sent(page.context["form"]))
    # Those that need something say so beside the config; none fails in another way.
    assert answer.status_code == 302 or all(
        field.startswith(("config_", "__all__")) for field in errors_of(answer)
    )


def test_the_page_itself_says_which_policy_it_is_about():
    html = browser("eddie").get(reverse(NEW), {"name": "key-auth", "scope": "global"}).content.decode()
    assert '<input type="hidden" name="name" value="key-auth">' in html
    assert '<input type="hidden" name="as" value="form">' in html


def test_what_is_left_at_its_default_is_not_stored():
    client, world = browser("eddie"), make_world()
    page = client.get(reverse(NEW), {"name": "key-auth", "scope": "route", "route": world["routes"].pk})
    answer = client.post(reverse(NEW), sent(page.context["form"]))
    assert answer.status_code == 302, errors_of(answer)
    policy = Policy.objects.get(route=world["routes"])
    assert (policy.name, policy.scope, policy.config) == ("key-auth", "route", {})


def test_rows_of_a_list():
    client = browser("eddie")
    form = client.get(reverse(NEW), {"name": "rate-limit"}).context["form"]
    rows = {"config_limits-rows": "3", "config_limits-0-amount": "5", "config_limits-0-period": "second"}
    rows |= {"config_limits-2-amount": "100", "config_limits-2-period": "hour", "config_limits-2-every": "2"}
    answer = client.post(reverse(NEW), sent(form, **rows))
    assert answer.status_code == 302, errors_of(answer)
    assert Policy.objects.get().config["limits"] == [
        {"amount": 5, "period": "second"},
        {"amount": 100, "period": "hour", "every": 2},
    ]


@pytest.mark.parametrize("count", ["9" * 5000, "-1", "\u00b2", "x", ""])
def test_a_forged_number_of_rows_is_no_error(count):
    client = browser("eddie")
    form = client.get(reverse(NEW), {"name": "rate-limit"}).context["form"]
    answer = client.post(reverse(NEW), sent(form, **{"config_limits-rows": count}))
    assert answer.status_code in (302, 422)


def test_the_policys_own_rules_speak_beside_the_field():
    client = browser("eddie")
    form = client.get(reverse(NEW), {"name": "rate-limit"}).context["form"]
    answer = client.post(reverse(NEW), sent(form, config_by="header"))
    assert "Name the request header" in errors_of(answer)["config_header"][0]
    assert not Policy.objects.exists()


def test_the_same_policy_as_yaml_and_back():
    client = browser("eddie")
    form = client.get(reverse(NEW), {"name": "key-auth"}).context["form"]
    as_yaml = client.post(reverse(NEW), sent(form, config_realm="shop", show_as="yaml"))
    assert as_yaml.status_code == 200 and not Policy.objects.exists()
    text = as_yaml.context["form"]["config_yaml"].value()
    assert text == "realm: shop\n"
    back = client.post(
        reverse(NEW), sent(as_yaml.context["form"], config_yaml="realm: other", show_as="form")
    )
    assert back.context["form"]["config_realm"].value() == "other"
    answer = client.post(reverse(NEW), sent(as_yaml.context["form"], config_yaml="realm: stored"))
    assert answer.status_code == 302 and Policy.objects.get().config == {"realm": "stored"}


@pytest.mark.parametrize(
    "text", ["realm: [", "- a", "realm: 5", "nonsense: 1", "!!python/object:os.system {}"]
)
def test_yaml_that_is_none_or_does_not_fit_is_refused(text):
    client = browser("eddie")
    form = client.get(reverse(NEW), {"name": "key-auth", "as": "yaml"}).context["form"]
    answer = client.post(reverse(NEW), sent(form, config_yaml=text))
    assert answer.status_code == 422 and errors_of(answer)["config_yaml"]


def test_the_preview_shows_yaml_or_what_is_wrong_and_stores_nothing():
    client = browser("eddie")
    form = client.get(reverse(NEW), {"name": "rate-limit"}).context["form"]
    url = reverse("console:policies-preview")
    assert "by: ip" in client.post(url, sent(form, config_by="ip")).content.decode()
    assert "Name the request header" in client.post(url, sent(form, config_by="header")).content.decode()
    assert not Policy.objects.exists()


def test_a_policy_is_edited_and_its_pages_show_it():
    world, client = make_world(), browser("eddie")
    url = reverse("console:policies-edit", args=[world["policies"].pk])
    form = client.get(url).context["form"]
    answer = client.post(url, sent(form, config_realm="new realm", mode="observe"))
    assert answer.status_code == 302, errors_of(answer)
    page = client.get(answer["Location"]).content.decode()
    assert "realm: new realm" in page and "observe" in page


def test_a_scope_needs_its_subject():
    client = browser("eddie")
    form = client.get(reverse(NEW), {"name": "key-auth", "scope": "plan"}).context["form"]
    assert list(errors_of(client.post(reverse(NEW), sent(form)))) == ["plan"]


def test_an_unknown_policy_leads_to_the_catalogue():
    client = browser("eddie")
    assert "Choose where" in client.get(reverse(NEW), {"name": "nonsense"}).content.decode()
    assert "Choose where" in client.post(reverse(NEW), {"name": "nonsense"}).content.decode()


@pytest.fixture
def two_open():
    """Two who have the form of one policy open, and its address."""
    row = make_world()["policies"]
    url = reverse("console:policies-edit", args=[row.pk])
    first, second = browser("eddie"), browser("olga")
    mine, theirs = (one.get(url).context["form"] for one in (first, second))
    return row, url, (first, mine), (second, theirs)


def test_what_both_changed_is_not_lost_by_looking_at_the_yaml(two_open):
    row, url, (first, mine), (second, theirs) = two_open
    assert second.post(url, sent(theirs, config_realm="theirs")).status_code == 302
    looked = first.post(url, sent(mine, config_realm="mine", show_as="yaml"))
    assert looked.status_code == 200 and "theirs" in errors_of(looked)["config_realm"][0]
    assert looked.context["form"]["config_realm"].value() == "mine"
    as_yaml = first.post(url, sent(looked.context["form"], show_as="yaml")).context["form"]
    assert as_yaml["config_yaml"].value() == "realm: mine\n"
    assert first.post(url, sent(as_yaml)).status_code == 302
    row.refresh_from_db()
    assert row.config == {"realm": "mine"}


def test_what_was_changed_before_looking_at_the_yaml_is_still_ones_own(two_open):
    row, url, (first, mine), (second, theirs) = two_open
    as_yaml = first.post(url, sent(mine, mode="observe", show_as="yaml")).context["form"]
    assert second.post(url, sent(theirs, label="theirs")).status_code == 302
    assert first.post(url, sent(as_yaml)).status_code == 302
    row.refresh_from_db()
    assert (row.mode, row.label) == ("observe", "theirs")


def test_what_is_wrong_is_not_lost_by_looking_at_the_yaml():
    client = browser("eddie")
    form = client.get(reverse(NEW), {"name": "rate-limit"}).context["form"]
    rows = {"config_limits-rows": "1", "config_limits-0-amount": "many"}
    looked = client.post(reverse(NEW), sent(form, **rows, show_as="yaml"))
    assert "amount" in errors_of(looked)["config_limits"][0]
