"""The configuration as one YAML file."""

from pathlib import Path

import pytest

from proxy.config import declarative
from proxy.config.apply import Refused
from proxy.config.document import UNCHANGED
from proxy.config.draft import draft_document
from proxy.config.publish import live_revision
from proxy.models import Api, App, Certificate, Developer, Subscription
from tests.proxy.config.pem import make_pair

pytestmark = [pytest.mark.django_db, pytest.mark.database]
ROOT = Path(__file__).parents[3]
SHOP = (ROOT / "docs/examples/shop.yaml").read_text()


def problems(text):
    return [(item.line, item.object, item.field) for item in declarative.read(text).problems]


def test_the_example_is_valid_and_applies():
    file = declarative.read(SHOP)
    assert (file.problems, file.warnings) == ([], [])
    assert "+ route products" in declarative.apply(SHOP)


def test_export_applies_to_itself():
    declarative.apply(SHOP)
    text = declarative.export(with_identities=True)
    before = draft_document()
    assert declarative.apply(text) == []
    assert draft_document() == before
    assert declarative.export(with_identities=True) == text


def test_ejection_goes_through_file_draft_and_diff():
    declarative.apply(SHOP)
    text = SHOP.replace(
        "  - name: products\n", "  - name: products\n    outlier: {failures: 9, statuses: []}\n", 1
    )
    assert declarative.apply(text) == [
        '~ upstream products\n    outlier: (default) -> {"failures":9,"statuses":[]}'
    ]
    assert "failures: 9" in declarative.export()
    products = next(one for one in draft_document().upstreams if one.name == "products")
    assert (products.outlier.failures, products.outlier.statuses, products.outlier.max_percent) == (9, (), 50)
    assert problems(text.replace("failures: 9", "failures: -9")) == [
        (text[: text.index("outlier")].count("\n") + 1, "upstream products", "outlier.failures")
    ]
    declarative.apply(SHOP)
    assert "outlier" not in declarative.export()


def test_applying_twice_changes_nothing():
    declarative.apply(SHOP)
    assert declarative.apply(SHOP) == []


def test_identities_are_created_updated_and_never_deleted():
    declarative.apply(SHOP)
    app = App.objects.get(name="mobile-app")
    assert (app.developer.email, app.title) == ("ada@example.com", "Mobile app")
    assert Subscription.objects.get(app=app).status == "accepted"
    version = app.sync_version
    declarative.apply(SHOP)
    assert App.objects.get(name="mobile-app").sync_version == version
    declarative.apply(SHOP.replace("title: Mobile app", "title: Other, groups: [staff]"))
    assert App.objects.get(name="mobile-app").groups == ["staff"]
    declarative.apply(SHOP[: SHOP.index("# Identities")])
    assert App.objects.exists() and Developer.objects.exists() and Subscription.objects.exists()


@pytest.mark.parametrize("text", ["x" * 201, "a\\0b"])
def test_names_of_people_and_apps_fit_every_database(text):
    file = f"""format: 1
developers:
  - email: ada@example.com
    name: "{text}"
apps:
  - name: a
  - name: b
    title: "{text}"
"""
    with pytest.raises(Refused) as refused:
        declarative.apply(file)
    found = {(problem.object, problem.field): problem.line for problem in refused.value.problems}
    assert found[("developer ada@example.com", "name")] == 4 and found[("app b", "title")] == 8


def test_policies_of_an_app_of_the_same_file():
    declarative.apply(SHOP + "policies:\n  - {name: request-size, app: mobile-app}\n")
    assert draft_document().policies[0].app == "mobile-app"


def test_all_errors_come_at_once_with_their_lines():
    text = """format: 1
upstreams:
  - name: products
    targets: []
    retries: many
apis:
  - slug: shop
    routes:
      - name: list
        path: {kind: prefix, value: //x}
        upstream: nowhere
        policies:
          - name: nonsense
nonsense: 1
apps:
  - {name: Bad Name, developer: nobody@example.com}
subscriptions:
  - {app: x, api: y, plan: z}
"""
    assert sorted(problems(text)) == [
        (4, "upstream products", "targets"),
        (5, "upstream products", "retries"),
        (10, "route list", "path.value"),
        (11, "route list", "upstream"),
        (13, "policy nonsense.route.list", "name"),
        (14, "document", "nonsense"),
        (16, "app Bad Name", "developer"),
        (16, "app Bad Name", "name"),
        (18, "subscription x to y", "api"),
        (18, "subscription x to y", "app"),
        (18, "subscription x to y", "plan"),
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "format: 2", "format: true", "format: '1'", "a: 1\na: 2", "upstreams: []"]
)
def test_what_is_no_configuration_is_refused(text):
    assert declarative.read(text).problems


def test_a_refused_file_changes_nothing():
    declarative.apply(SHOP)
    before = draft_document()
    with pytest.raises(Refused):
        declarative.apply(SHOP.replace("upstream: products", "upstream: nowhere").replace("Mobile app", "X"))
    assert draft_document() == before
    assert App.objects.get().title == "Mobile app"


def test_a_publish_that_is_refused_takes_the_apply_with_it(monkeypatch):
    def refuse(note, author):
        raise Refused([])

    monkeypatch.setattr(declarative, "publish", refuse)
    with pytest.raises(Refused):
        declarative.apply_and_publish(SHOP)
    assert not Api.objects.exists() and live_revision() is None


def certificate(name, chain, key):
    indented = {"chain": chain, "key": key}
    lines = [f"format: 1\ncertificates:\n  - name: {name}"]
    for field, value in indented.items():
        lines.append(f"    {field}: |\n" + "".join(f"      {line}\n" for line in value.splitlines()))
    return "\n".join(lines)


def test_private_keys_are_exported_only_on_request_and_kept():
    chain, key = make_pair("shop.example.com")
    declarative.apply(certificate("shop", chain, key))
    text = declarative.export()
    assert "PRIVATE" not in text and UNCHANGED in text
    assert declarative.apply(text) == []
    assert Certificate.objects.get().key == key
    assert declarative.apply(declarative.export(with_secrets=True)) == []
    assert "PRIVATE" not in "".join(declarative.apply(certificate("shop", *make_pair("b.example.com"))))


def test_an_unchanged_key_must_be_there_and_fit():
    chain, key = make_pair("shop.example.com")
    (problem,) = declarative.read(certificate("new", chain, UNCHANGED)).problems
    assert (problem.object, problem.field) == ("certificate new", "key")
    declarative.apply(certificate("shop", chain, key))
    other, _ = make_pair("shop.example.com")
    (problem,) = declarative.read(certificate("shop", other, UNCHANGED)).problems
    assert "not the key" in problem.reason
