"""The small pieces: line fields, cells, differences, merges, the picker."""

import datetime

import msgspec
import pytest
from django import forms
from django.urls import reverse

from consoles.audit import HIDDEN, difference, state_of
from consoles.ui.cells import Badge, Code, Link, Text, render, ticks
from consoles.ui.diff import side_by_side
from consoles.ui.fields import MatchesField, NumbersField, PairsField, WordsField
from consoles.ui.schema_form import fields_of, without_defaults
from proxy.config.snapshot import HealthCheck, Limits, Redirect
from proxy.models import App, Credential, Developer, Plan, Policy
from tests.consoles.people import browser, errors_of
from tests.consoles.world import make_world


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        (WordsField(), "a, b\n\na  c", ["a", "b", "c"]),
        (WordsField(upper=True), "get post", ["GET", "POST"]),
        (NumbersField(), "200, 204", [200, 204]),
        (PairsField(), "a: 1\nb: x: y", {"a": "1", "b": "x: y"}),
        (PairsField(many=True), "a: 1\na: 2", {"a": ["1", "2"]}),
        (MatchesField(), "a: 1", [{"name": "a", "value": "1"}]),
        (MatchesField(), "a ~ ^x", [{"name": "a", "value": "^x", "kind": "regex"}]),
        (MatchesField(), "a", [{"name": "a", "kind": "present"}]),
    ],
)
def test_lines_mean_values_and_back(field, text, value):
    assert field.clean(text) == value
    assert field.clean(field.prepare_value(value)) == value
    assert not field.has_changed(value, field.prepare_value(value))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (NumbersField(), "200, x"),
        (NumbersField(), "²"),
        (PairsField(), "no colon"),
        (PairsField(), "a: 1\na: 2"),
        (MatchesField(), ": x"),
    ],
)
def test_lines_that_mean_nothing_are_refused(field, text):
    with pytest.raises(forms.ValidationError):
        field.clean(text)


@pytest.mark.parametrize(
    "value", ["<b>", Badge("<b>", "red"), Link("/x?<b>", "<b>"), Code("<b>"), Text("<b>"), ["<b>"]]
)
def test_cells_escape_text(value):
    assert "<b>" not in render(value)


def test_cells_show_each_kind_of_value():
    assert "none" in render(None) and "none" in render([])
    assert "12,345" in render(12345) and render(True) == "yes"
    assert 'datetime="2026-01-02T03:04:00+00:00"' in render(
        datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)
    )
    assert "and 4 more" in render([str(n) for n in range(10)])
    assert ticks("a `b<` c") == "a <code>b&lt;</code> c" and ticks("a ` b") == "a ` b"


def test_two_texts_side_by_side():
    old, new = "\n".join("abcdefghij"), "\n".join("abcdeXghijk")
    lines = side_by_side(old, new, context=1)
    assert [(line.kind, line.old, line.new) for line in lines] == [
        ("gap", "", ""),
        ("same", "e", "e"),
        ("changed", "f", "X"),
        ("same", "g", "g"),
        ("gap", "", ""),
        ("same", "j", "j"),
        ("added", "", "k"),
    ]
    assert side_by_side(old, old) == []


@pytest.mark.parametrize("kind", [HealthCheck, Limits, Redirect])
def test_a_struct_as_fields_is_the_same_struct_again(kind):
    fields = fields_of(kind)
    defaults = {name: field.clean(_sent(field)) for name, field in fields.items()}
    assert msgspec.convert(without_defaults(kind, defaults), kind) == kind()
    assert without_defaults(kind, defaults) == {}


def _sent(field):
    value = field.prepare_value(field.initial)
    return value if value is not None else ""


@pytest.mark.django_db
def test_the_audit_knows_no_secrets():
    world = make_world()
    assert HIDDEN in str(state_of(world["keys"])) and "digest" in state_of(world["keys"])
    policy = Policy(
        name="x", config={"client_secret": "hunter2", "nested": {"password": "hunter2"}, "realm": "shop"}
    )
    assert "hunter2" not in str(state_of(policy)) and "shop" in str(state_of(policy))
    before, after = {"a": 1, "b": "", "c": None}, {"a": 2, "b": None, "d": []}
    assert difference(before, after) == [{"field": "a", "before": 1, "after": 2}]


@pytest.fixture
def many_apps():
    world = make_world()
    App.objects.bulk_create(App(name=f"app-{n:03}") for n in range(60))
    return world


@pytest.mark.django_db
def test_a_long_select_becomes_a_text_input_that_suggests(many_apps):
    client = browser("eddie")
    app = App.objects.get(name="app-007")
    page = client.get(reverse("console:keys-create"), {"app": app.pk})
    html = page.content.decode()
    assert page.context["form"]["app"].value() == "app-007" and "app-042" not in html
    options = client.get(reverse("console:pick", args=["apps"]), {"app": "-04"}).content.decode()
    assert options.count("<option") == 10 and "app-042" in options
    assert client.post(reverse("console:keys-create"), {"app": "app-042"}).status_code == 200
    assert Credential.objects.filter(app__name="app-042").count() == 1
    wrong = client.post(reverse("console:keys-create"), {"app": "nobody"})
    assert errors_of(wrong)["app"] == ["There is none called nobody."]
    assert "app" in errors_of(client.post(reverse("console:keys-create"), {"app": "app\0042"}))
    for odd in ("9" * 5000, "9" * 30, "\u00b2"):
        assert client.get(reverse("console:keys-create"), {"app": odd}).status_code == 200


@pytest.mark.django_db
def test_an_edit_keeps_what_was_picked():
    Developer.objects.bulk_create(Developer(email=f"d{n}@example.test") for n in range(60))
    app = App.objects.create(name="a", developer=Developer.objects.first())
    client, url = browser("eddie"), reverse("console:apps-edit", args=[app.pk])
    form = client.get(url).context["form"]
    assert form["developer"].value() == "d0@example.test"
    data = {"name": "a", "title": "T", "developer": "d5@example.test", "active": "on", "seen": form.seen}
    assert client.post(url, data).status_code == 302
    app.refresh_from_db()
    assert app.developer.email == "d5@example.test"


@pytest.mark.django_db
def test_suggestions_are_of_what_an_editor_may_see():
    Plan.objects.create(name="gold")
    client = browser("eddie")
    assert "gold" in client.get(reverse("console:pick", args=["plans"]), {"x": "GO"}).content.decode()
    for family in ("members", "nonsense"):
        assert client.get(reverse("console:pick", args=[family])).status_code == 404
