"""Signing up and in by e-mail: codes, their limits, and equal answers for all addresses."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client
from django.urls import reverse

from consoles.models import AuditEntry, Membership
from consoles.portal import codes
from proxy.models import Developer
from tests.consoles.people import member
from tests.consoles.portal.people import browser, developer

pytestmark = pytest.mark.django_db
SIGN_IN, CODE = reverse("portal:sign-in"), reverse("portal:code")


def ask(client, email="dana@example.test", **more):
    return client.post(SIGN_IN, {"email": email, **more})


def sent():
    return re.search(r"code is (\d{4} \d{4})", mail.outbox[-1].body).group(1)


def test_a_code_makes_an_account_and_signs_in():
    client = Client()
    assert ask(client, "Dana@Example.test").headers["Location"] == CODE
    assert mail.outbox[0].to == ["dana@example.test"] and not Developer.objects.exists()
    assert client.post(CODE, {"code": sent()}).headers["Location"] == reverse("portal:apps")
    row = Developer.objects.get()
    assert row.email == "dana@example.test" and not row.user.has_usable_password()
    assert client.get(reverse("portal:apps")).status_code == 200
    assert {entry.action for entry in AuditEntry.objects.all()} == {"create", "sign-in"}
    assert sent().replace(" ", "") not in str(list(AuditEntry.objects.values()))


def test_a_known_address_signs_in_to_its_account():
    row = developer("dana")
    client = Client()
    ask(client, next=reverse("portal:account"))
    assert client.post(CODE, {"code": sent().replace(" ", "-")}).headers["Location"] == reverse(
        "portal:account"
    )
    assert Developer.objects.get() == row


def test_an_account_that_an_admin_made_is_taken_over_by_its_address():
    row = Developer.objects.create(email="Dana@example.test")
    client = Client()
    ask(client)
    client.post(CODE, {"code": sent()})
    assert Developer.objects.get() == row and Developer.objects.get().user is not None


def test_known_and_unknown_addresses_get_the_same_answers():
    developer("dana")
    suspended = developer("susan")
    Developer.objects.filter(pk=suspended.pk).update(active=False)
    pages = []
    for email in ("dana@example.test", "susan@example.test", "nobody@example.test"):
        client = Client()
        first, second = ask(client, email), client.get(CODE)
        wrong = client.post(CODE, {"code": "00000000"})
        body = [
            re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page.content.decode())
            for page in (second, wrong)
        ]
        pages.append((first.status_code, wrong.status_code, *(text.replace(email, "EMAIL") for text in body)))
    assert pages[0] == pages[1] == pages[2] and len(mail.outbox) == 3


def test_a_suspended_address_gets_no_code():
    Developer.objects.create(email="dana@example.test", active=False)
    ask(Client())
    assert "suspended" in mail.outbox[0].body and not re.search(r"\d{4}", mail.outbox[0].body)


def test_a_member_of_the_console_does_not_come_in_by_e_mail():
    olga = member("olga")
    Developer.objects.create(email="dana@example.test", user=olga)
    client = Client()
    ask(client)
    assert "member of the console" in mail.outbox[0].body and not re.search(r"\d{4}", mail.outbox[0].body)
    assert browser(Developer.objects.get()).get(reverse("portal:apps")).status_code == 200


def test_the_name_of_a_member_is_not_taken():
    user = get_user_model().objects.create_user("dana@example.test", password="secret-of-a-member")
    Membership.objects.create(user=user)
    client = Client()
    ask(client)
    client.post(CODE, {"code": sent()})
    assert Developer.objects.get().user != user and client.get(reverse("console:overview")).status_code == 403


@pytest.mark.parametrize(
    "email",
    ["", "dana", "dana@", "d\u0131na@example.test", "dana@example.test\nBcc: x@y.z", "a" * 260 + "@x.test"],
)
def test_a_wrong_address_is_refused_beside_its_field(email):
    answer = ask(Client(), email)
    assert answer.status_code == 422 and answer.context["form"].errors["email"] and not mail.outbox


def test_look_alike_addresses_are_not_the_same():
    Developer.objects.create(email="d\u0131na@example.test")
    assert codes.find("dina@example.test") is None


def test_a_code_is_good_once_and_in_one_browser():
    client, other = Client(), Client()
    ask(client)
    code = sent()
    assert other.post(CODE, {"code": code}).headers["Location"] == SIGN_IN
    client.post(CODE, {"code": code})
    client.post(reverse("portal:sign-out"))
    assert client.post(CODE, {"code": code}).headers["Location"] == SIGN_IN


def test_a_code_has_few_tries_and_little_time(monkeypatch):
    client = Client()
    ask(client)
    code = sent()
    wrong = f"{(int(code.replace(' ', '')) + 1) % 10**8:08d}"
    for _ in range(codes.MOST_TRIES):
        assert client.post(CODE, {"code": wrong}).status_code == 422
    assert client.post(CODE, {"code": code}).headers["Location"] == SIGN_IN
    ask(client)
    later = codes.time.time() + codes.MINUTES * 60 + 1
    monkeypatch.setattr(codes.time, "time", lambda: later)
    assert client.post(CODE, {"code": sent()}).headers["Location"] == SIGN_IN


def test_the_session_holds_no_code():
    client = Client()
    ask(client)
    assert sent().replace(" ", "") not in str(dict(client.session))


def test_asking_and_trying_have_an_end():
    assert [ask(Client()).status_code for _ in range(6)] == [302] * 5 + [429]
    assert ask(Client(), "other@example.test").status_code == 302
    found = []
    for number in range(3):
        client = Client()
        ask(client, "third@example.test")
        found += [client.post(CODE, {"code": f"{number}"}).status_code for _ in range(4)]
    assert found[-1] == 429 and 429 not in found[:10]


def test_a_mail_server_that_does_not_answer_is_said(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    answer = ask(Client())
    assert answer.status_code == 503 and "could not be sent" in answer.content.decode()


@pytest.mark.parametrize(
    "url", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "word", "\0"]
)
def test_nobody_is_sent_away_from_here(url):
    client = Client()
    ask(client, next=url)
    assert client.post(CODE, {"code": sent()}).headers["Location"] == reverse("portal:apps")


def test_the_theme_is_kept_over_signing_in():
    client = Client()
    client.post(reverse("portal:theme"), {"theme": "dark"})
    ask(client)
    client.post(CODE, {"code": sent()})
    assert 'data-bs-theme="dark"' in client.get(reverse("portal:apps")).content.decode()
