"""Saved views: kept, offered, shared, renamed, deleted; nobody touches those of others."""

import pytest
from django.urls import reverse

from consoles.models import SavedView
from consoles.ui import saved
from tests.consoles.people import browser, errors_of, member

pytestmark = pytest.mark.django_db
SAVE = "console:views-save"


def save(name, page="apis", query="lifecycle=draft", who="vera", **more):
    """What the menu of a list sends."""
    data = {"name": name, "page": page, "query": query, **more}
    return browser(who).post(reverse(SAVE), data)


def offered(who, path="apis-list", query=""):
    """The names in the menu of a list: one's own, and those of others."""
    menu = browser(who).get(f"{reverse(f'console:{path}')}?{query}").context["saved"]
    return [one.view.name for one in menu.mine], [one.view.name for one in menu.others]


def test_what_is_saved_is_what_the_list_understands():
    answer = save("Drafts", query="sort=-slug&lifecycle=draft&x=1&lifecycle%3B=&page=7&column=slug")
    assert SavedView.objects.get().query == "lifecycle=draft&sort=-slug&column=slug"
    assert answer["Location"] == f"{reverse('console:apis-list')}?lifecycle=draft&sort=-slug&column=slug"
    menu = browser("vera").get(answer["Location"]).context["saved"]
    assert menu.current.view.name == "Drafts"


def test_views_are_ones_own_until_they_are_shared():
    save("Mine")
    save("Everybody's", who="eddie", shared="on")
    save("Eddie's", who="eddie")
    assert offered("vera") == (["Mine"], ["Everybody's"])
    assert offered("vera", "routes-list") == ([], [])


def test_the_same_name_is_the_same_view():
    save("Drafts")
    save("Drafts", query="lifecycle=retired")
    assert SavedView.objects.get().query == "lifecycle=retired"


def test_renamed_shared_and_deleted_by_its_owner_alone():
    save("Old")
    save("Taken")
    row = SavedView.objects.get(name="Old")
    url = reverse("console:views-edit", args=[row.pk])
    for other in (browser("olga").get(url), browser("olga").post(url, {"do": "delete"})):
        assert other.status_code == 404
    taken = browser("vera").post(url, {"name": "Taken"})
    assert taken.status_code == 422 and "another view" in errors_of(taken)["name"][0]
    assert browser("vera").post(url, {"name": "New", "shared": "on"}).status_code == 302
    row.refresh_from_db()
    assert (row.name, row.shared) == ("New", True)
    browser("vera").post(url, {"do": "delete"})
    assert [one.name for one in SavedView.objects.all()] == ["Taken"]


def test_one_member_has_so_many_at_most(monkeypatch):
    monkeypatch.setattr("consoles.admin.views.MOST_OF_ONE", 2)
    for name in ("a", "b", "c"):
        save(name)
    save("a", query="")
    assert [(one.name, one.query) for one in SavedView.objects.all()] == [("a", ""), ("b", "lifecycle=draft")]
    assert saved.MOST_OF_ONE >= 20


@pytest.mark.parametrize(("page", "status"), [("members", 404), ("nonsense", 404), ("settings", 404)])
def test_of_pages_that_one_may_see_and_that_are_lists(page, status):
    assert save("x", page=page).status_code == status and not SavedView.objects.exists()


def test_an_owner_saves_a_list_of_members():
    assert save("x", page="members", query="role=4", who="olga").status_code == 302


def test_the_log_has_views_too():
    save("Refused", page="traffic", query="refused=1&not=app:checkout&bogus=1&since=900")
    row = SavedView.objects.get()
    assert row.query == "refused=1&since=900&not=app%3Acheckout"
    assert offered("vera", "traffic", row.query) == (["Refused"], [])


def test_hostile_names_show_as_text():
    save("<script>alert(1)</script>", who="eddie", shared="on")
    assert "<script>alert(1)" not in browser("vera").get(reverse("console:apis-list")).content.decode()
    assert save("  \0 ").status_code == 302 and SavedView.objects.count() == 1


def test_views_go_with_their_account():
    save("x")
    member("vera").delete()
    assert not SavedView.objects.exists()
