"""The palette: pages and actions by role; and whether single keys do something."""

import pytest
from django.urls import reverse

from consoles.models import Role
from consoles.ui.menu import Entry, entries, jump_keys, menu_for
from tests.consoles.people import browser, member

pytestmark = pytest.mark.django_db


def found(who, text=""):
    """What the palette shows, by the names of its groups."""
    groups = browser(who).get(reverse("console:search"), {"q": text}).context["groups"]
    return {group["name"]: [row["name"] for row in group["rows"]] for group in groups}


def test_actions_are_those_that_the_role_may_do():
    assert found("vera", "new").get("Actions") is None
    assert "New Route" in found("eddie", "new route")["Actions"]
    assert "Actions" not in found("eddie", "publish") and found("paula", "deploy")["Actions"] == [
        "Publish the draft"
    ]
    assert "New member" not in found("paula", "new mem").get("Actions", [])
    assert found("olga", "create member")["Actions"] == ["New member"]


def test_without_a_text_it_offers_pages_and_actions():
    shown = found("olga")
    assert {"Overview", "Routes", "Members"} <= set(shown["Pages"]) and "New Api" in shown["Actions"]
    assert "Members" not in found("vera")["Pages"]


def test_each_page_has_a_letter_of_its_own_and_it_is_the_same_for_all():
    keys = [item.key for _, items in menu_for(member("olga"), "") for item in items if item.key]
    assert len(keys) == len(set(keys)) == sum(len(items) for _, items in menu_for(member("olga"), ""))
    mine = {item.label: item.key for _, items in menu_for(member("vera"), "") for item in items}
    theirs = {item.label: item.key for _, items in menu_for(member("olga"), "") for item in items}
    assert mine.items() <= theirs.items() and mine["Apis"] == "a"
    declared = [*entries(), Entry("", 99, "Zz", "x", "console:zz", Role.VIEWER, key="a")]
    assert jump_keys(declared)["console:zz"] == "a" and jump_keys(declared)["console:apis-list"] != "a"


def test_single_keys_can_be_turned_off_in_the_account():
    client, url = browser("vera"), reverse("console:overview")
    assert 'data-keys="on"' in client.get(url).content.decode()
    answer = client.post(
        reverse("console:shortcuts"), {"shortcuts": "off", "next": reverse("console:apis-list")}
    )
    assert answer["Location"] == reverse("console:apis-list")
    page = client.get(url).content.decode()
    assert "data-keys" not in page and "Turn single keys on" in page
    client.post(reverse("console:shortcuts"), {"shortcuts": "on", "next": "https://elsewhere.test/"})
    assert 'data-keys="on"' in client.get(url).content.decode()


def test_the_portal_is_one_click_away():
    assert (
        f'href="{reverse("portal:catalogue")}"'
        in browser("vera").get(reverse("console:overview")).content.decode()
    )
