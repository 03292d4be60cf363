"""Signing in and out, limits on trying, passwords, the theme, and the headers of every page."""

import gzip
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.urls import reverse

from consoles import access
from consoles.models import AuditEntry, Membership, Role
from consoles.ui.headers import THEME_SCRIPT
from tests.consoles.people import PASSWORD, browser, member

pytestmark = pytest.mark.django_db
SIGN_IN = "console:sign-in"


@pytest.fixture(autouse=True)
def _nobody_has_tried():
    cache.clear()


@pytest.fixture
def vera():
    user = member("vera")
    user.set_password(PASSWORD)
    user.save()
    return user


def sign_in(client, name="vera", password=PASSWORD, **more):
    return client.post(reverse(SIGN_IN), {"username": name, "password": password, **more})


def test_signing_in_leads_on_and_is_written_down(vera):
    client = browser("nobody")
    asked = client.get(reverse("console:plans-list"))
    assert asked["Location"] == f"{reverse(SIGN_IN)}?next={reverse('console:plans-list')}"
    answer = sign_in(client, next=reverse("console:plans-list"))
    assert answer["Location"] == reverse("console:plans-list")
    assert AuditEntry.objects.get().action == "sign-in"
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "word", "\0"]
)
def test_nobody_is_sent_away_from_here(vera, url):
    assert sign_in(browser("nobody"), next=url)["Location"] == reverse("console:overview")
    there = browser().get(reverse(SIGN_IN), {"next": url})
    assert there.status_code == 302 and there["Location"] == reverse("console:overview")


@pytest.mark.parametrize(("name", "password"), [("vera", "wrong"), ("unknown", PASSWORD), ("", "")])
def test_a_refusal_does_not_tell_which_names_exist(vera, name, password):
    answer = sign_in(browser("nobody"), name, password)
    assert answer.status_code == 422 and "Name or password is wrong." in answer.content.decode()


def test_trying_has_an_end(vera):
    client = browser("nobody")
    assert [sign_in(client, password="wrong").status_code for _ in range(11)] == [422] * 10 + [429]
    assert sign_in(client).status_code == 429


def test_signing_out_is_a_post(vera):
    client = browser("vera")
    assert client.get(reverse("console:sign-out")).status_code == 405
    client.post(reverse("console:sign-out"))
    assert client.get(reverse("console:overview")).status_code == 302


def test_a_new_password_ends_the_other_sessions(vera):
    first, second = browser("vera"), browser("vera")
    new = {
        "old_password": PASSWORD,
        "new_password1": "another-long-one-1",
        "new_password2": "another-long-one-1",
    }
    assert first.post(reverse("console:password"), {**new, "old_password": "wrong"}).status_code == 422
    assert first.post(reverse("console:password"), new).status_code == 302
    assert first.get(reverse("console:overview")).status_code == 200
    assert second.get(reverse("console:overview")).status_code == 302
    assert AuditEntry.objects.filter(action="password").get().changes == []


@pytest.mark.parametrize("weak", ["short", "password1234", "veravera"])
def test_a_weak_password_is_refused(vera, weak):
    data = {"old_password": PASSWORD, "new_password1": weak, "new_password2": weak}
    assert browser("vera").post(reverse("console:password"), data).status_code == 422


def test_the_theme_is_kept_with_the_member():
    client = browser("vera")
    client.post(reverse("console:theme"), {"theme": "dark"})
    assert 'data-bs-theme="dark"' in client.get(reverse("console:overview")).content.decode()
    client.post(reverse("console:theme"), {"theme": "pink"})
    assert Membership.objects.get().theme == "dark"


def test_pages_allow_no_inline_script_but_one_and_no_inline_style():
    answer = browser().get(reverse("console:overview"))
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    html = answer.content.decode()
    assert re.findall(r"<script(?![^>]*src=)[^>]*>(.*?)</script>", html, re.DOTALL) == [THEME_SCRIPT]
    assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", html) and "<style" not in html


def test_a_page_with_its_styles_and_scripts_is_light():
    page = browser().get(reverse("console:overview")).content
    names = set(re.findall(r'/static/([^"?#]+)\?v=', page.decode()))
    assert "console/tabler.css" in names and "vendor/htmx.min.js" in names
    files = [Path(finders.find(name)).read_bytes() for name in names]
    assert sum(len(gzip.compress(data)) for data in [page, *files]) < 150 * 1024


def test_the_first_administrator_is_made_once(capsys):
    call_command("admin", "create", "--if-none")
    name, password = capsys.readouterr().out.split()
    assert name == "admin" and sign_in(browser("nobody"), name, password).status_code == 302
    assert Membership.objects.get().role == Role.OWNER and Membership.objects.get().temporary_password
    call_command("admin", "create", "--if-none")
    assert capsys.readouterr().out == ""
    with pytest.raises(CommandError, match="already"):
        call_command("admin", "create")


def test_who_forgot_the_password_gets_a_new_one(capsys, vera):
    call_command("admin", "password", "vera")
    name, password = capsys.readouterr().out.split()
    assert sign_in(browser("nobody"), name, password).status_code == 302
    with pytest.raises(CommandError):
        call_command("admin", "password", "nobody-here")


def test_a_generated_password_is_long_and_never_the_same():
    found = {access.generated_password() for _ in range(50)}
    assert len(found) == 50 and all(re.fullmatch(r"([A-Za-z2-9]{5}-){3}[A-Za-z2-9]{5}", one) for one in found)
